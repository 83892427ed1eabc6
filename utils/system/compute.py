"""Starts TensorFlow: quietly, with the given number of threads, whatever else the user has configured."""

import contextlib
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from utils.system.errors import UsageError
from utils.system.imports import quick_import
from utils.system.processes import usable_cores

# Settings that would change results, or make the bfloat16 that `precision` chooses fail.
_CHANGES_RESULTS = ("TF_XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
NVIDIA = "/dev/nvidia0"  # is there if a driver has found a GPU
_running_before_fork = False
_cut_off = False  # this process was forked from one in which TensorFlow ran, without its threads


def _tensorflow_runs() -> bool:
    """Whether TensorFlow has begun to compute in this process. It then refuses another number of threads."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return False
    threads = tf.config.threading.get_inter_op_parallelism_threads()
    try:
        tf.config.threading.set_inter_op_parallelism_threads(threads + 1)
    except RuntimeError:
        return True
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return False


def _before_fork() -> None:
    global _running_before_fork
    _running_before_fork = _tensorflow_runs()


def _in_forked_child() -> None:
    global _cut_off
    _cut_off = _cut_off or _running_before_fork


os.register_at_fork(before=_before_fork, after_in_child=_in_forked_child)


def check_not_cut_off(instead: str = "") -> None:
    """Raises `UsageError` in a process that was forked from one in which TensorFlow ran: it would wait for ever.

    Sees all forks after the import of this module.

    instead: the end of the message, what to do instead.
    """
    if _cut_off:
        raise UsageError(
            "TensorFlow cannot work in a process that was forked from one in which it had begun to; start the process "
            f'with "spawn" or "forkserver" instead of "fork"{instead}'
        )


def start_tensorflow(threads: int | None = None, rows: int | None = None, gpu: bool = False) -> None:
    """Imports TensorFlow. Call it before anything else imports TensorFlow or Keras.

    threads: the number of cores to use, without a GPU. None: all cores and GPUs.
    gpu: use GPUs beside that number of cores.
    rows: of the batches that a graph will work on in `parts_at_once`, which then share the cores.
    Raises `UsageError` as `check_not_cut_off` does, if TensorFlow is not installed, and if there is no GPU for `gpu`.
    """
    check_not_cut_off()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    for name in _CHANGES_RESULTS:
        os.environ.pop(name, None)
    forget_notebook_backend()
    _settle_keras()
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    if importlib.util.find_spec("tensorflow") is None:
        raise UsageError("TensorFlow is missing: pip install -c constraints.txt -e '.[cpu]', or '.[gpu]' for NVIDIA's")
    with _silenced_stderr():
        # Keras imports it for pictures of its own, which a notebook may want.
        with quick_import(*[] if "IPython" in sys.modules else ["matplotlib"]):
            import tensorflow as tf

        if not _tensorflow_runs():  # a later caller in one process takes the threads and devices there are
            if threads:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
                if not gpu:
                    tf.config.set_visible_devices([], "GPU")  # one context a worker would fill it
            elif rows:
                parts = parts_at_once(rows)
                tf.config.threading.set_inter_op_parallelism_threads(parts)
                tf.config.threading.set_intra_op_parallelism_threads(max(usable_cores() // parts, 1))
        gpus = tf.config.get_visible_devices("GPU")
    if gpu and not gpus:
        raise UsageError(f"controller_gpu: TensorFlow finds no GPU on {platform.node()}; set it to false")
    for one in gpus:
        tf.config.experimental.set_memory_growth(one, True)


def device(asked: str) -> str:
    """Where and how TensorFlow computes, in words. asked: a precision, as for `precision`."""
    import tensorflow as tf

    visible = tf.config.get_visible_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in visible]
    where = ", ".join(names) or f"{usable_cores()} cores"
    return f"{where}, {precision(asked)}{unusable_gpu()}"


def unusable_gpu() -> str:
    """A warning for the end of a line, if a GPU of NVIDIA's is there that TensorFlow cannot use."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU") or not Path(NVIDIA).exists():
        return ""
    return f"; {NVIDIA} is a GPU that this TensorFlow cannot use: make install TENSORFLOW=gpu"


def parts_at_once(rows: int) -> int:
    """In how many parts a batch of `rows` is best worked on at once: one for each core, but none below 16 rows.

    A GPU takes all of it at once.
    """
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return 1
    return max(1, min(usable_cores(), rows // 16))


def forget_notebook_backend() -> None:
    """Ignores matplotlib's backend of Jupyter or Colab in a shell there: it may not be installed in this environment.

    The import of matplotlib would fail.
    """
    if "IPython" not in sys.modules:
        os.environ.pop("MPLBACKEND", None)


def _settle_keras() -> None:
    """Ignores ~/.keras/keras.json and KERAS_BACKEND.

    Raises `UsageError` if Keras was imported before with other settings.
    """
    if keras := sys.modules.get("keras"):
        config = keras.config
        found = config.backend(), config.floatx(), config.image_data_format()
        if found != ("tensorflow", "float32", "channels_last"):
            raise UsageError(
                f"Keras was imported before with {', '.join(found)}; this needs tensorflow, float32, channels_last: "
                "set KERAS_BACKEND=tensorflow, and these in ~/.keras/keras.json"
            )
        return
    for name in [name for name in os.environ if name.startswith("KERAS_")]:  # KERAS_NNX_ENABLED and others
        del os.environ[name]
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = os.devnull  # so that no keras.json is read or written


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Hides TensorFlow's start-up messages (missing CUDA, oneDNN, CPU flags), which have no other switch."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def precision(asked: str) -> str:
    """Resolves "auto": "bfloat16" if the hardware multiplies bfloat16, otherwise "float32"."""
    if asked != "auto":
        return asked
    import tensorflow as tf

    for gpu in tf.config.get_visible_devices("GPU"):
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        return "bfloat16" if capability >= (8, 0) else "float32"
    try:
        flags = open("/proc/cpuinfo").read()
    except OSError:
        return "float32"
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
