"""How TensorFlow uses the machine: quietly, with the threads and the precision that it is told."""

import os
import sys

from utils.system.errors import UsageError

# What a shell may set that changes results, or makes the bfloat16 that `precision` chooses fail.
_CHANGES_RESULTS = ("TF_XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_running_before_fork = False
_cut_off = False  # whether TensorFlow ran in the process that this one was forked from: its threads are not here


def _tensorflow_runs() -> bool:
    """Whether TensorFlow has begun to compute in this process: from then on it refuses another number of threads."""
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
    """Raises `UsageError` in a process that was forked from one in which TensorFlow had begun to compute: there it
    would wait for ever. Knows of forks since this module was imported. instead: more to say in the message."""
    if _cut_off:
        raise UsageError(
            "TensorFlow cannot work in a process that was forked from one in which it had begun to; start the process "
            f'with "spawn" or "forkserver" instead of "fork"{instead}'
        )


def start_tensorflow(threads: int | None = None):
    """Imports TensorFlow and returns it. threads: cores it may use, and no GPU; None leaves it all it finds.

    Call it before anything else imports TensorFlow or Keras. Raises `UsageError` as `check_not_cut_off` does.
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
    with _silenced_stderr():
        import tensorflow as tf

        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.config.set_visible_devices([], "GPU")  # one context a worker would fill it
        gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf


def forget_notebook_backend() -> None:
    """A shell inside Jupyter or Colab names a backend that may not be installed here, and matplotlib, which Keras
    loads, looks at that name at once. Pictures are files: outside a notebook itself the name means nothing."""
    if "IPython" not in sys.modules:
        os.environ.pop("MPLBACKEND", None)


def _settle_keras() -> None:
    """Keras as this project needs it, whatever ~/.keras/keras.json or KERAS_BACKEND say. Raises `UsageError` if Keras
    was imported before with other settings."""
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
    os.environ["KERAS_HOME"] = os.devnull  # there is no keras.json in it, and none can be written


class _silenced_stderr:
    """TensorFlow's C++ start-up notes (missing CUDA, oneDNN, CPU flags) cannot be switched off otherwise."""

    def __enter__(self):
        self._saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def __exit__(self, *exception):
        os.dup2(self._saved, 2)
        os.close(self._saved)


def precision(asked: str) -> str:
    """Resolves "auto" to "bfloat16" where the hardware multiplies bfloat16, to "float32" elsewhere."""
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
