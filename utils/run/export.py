"""Make a small copy of a trained agent to share: all that it needs to act and to dream, weights in half precision.

RUN is a run folder with a trained controller. FOLDER, which must not exist yet, becomes a run folder that
`render_agent.py` takes. It has no rollouts, series and training states. Weights are rounded to float16; the encoder
multiplies in bfloat16, which is coarser, if the hardware can.

With --onnx, FOLDER becomes V, M and C for programs in other languages: graphs in float32, each checked against
TensorFlow. docs/onnx.md shows how they make a loop.

reads   runs/<exp_name>: config.yaml, vae, rnn, controller, series
writes  FOLDER: config.yaml, weights, the controller, its learning curve, all logs, z of first and of held-out frames
        with --onnx: encode.onnx, decode.onnx, memory.onnx, controller.onnx, agent.json

examples
  python -m utils.run.export runs/carracing_laptop my_agent
  python render_agent.py my_agent --stock --episodes 100
  python -m utils.run.export pretrained/carracing --onnx carracing_onnx
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
from pydantic import ValidationError

from utils.run import cli, episodes
from utils.run import config as configuration
from utils.run.config import Config
from utils.run.episodes import Series
from utils.run.folder import RunFolder, command
from utils.run.overview import folder_size
from utils.run.provenance import check_agent, check_rnn
from utils.run.steps import Step
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import atomic_write, user_path, write_json, write_npz

KEPT = {  # with the step that made each
    "vae/log.csv": Step.VAE,
    "rnn/log.csv": Step.RNN,
    "controller/best.npz": Step.CONTROLLER,
    "controller/mean.npz": Step.CONTROLLER,
    "controller/log.csv": Step.CONTROLLER,
    "controller/learning_curve.png": Step.CONTROLLER,
}
# The agent comes without its earlier runs and its series: a run that builds on it starts here.
START = {
    "previous_run": None, "rollout_policy": "explore", "controller_num_rnn": 1, "controller_judge_run": None,
    "controller_dream_start": "first", "controller_hard_fraction": 0.0, "controller_num_mean": 1,
}  # fmt: skip
MAX_STARTS, MAX_HELD_OUT = 1000, 200  # frames: each takes two numbers of 4 bytes for each one of z


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m utils.run.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder with a trained controller")
    parser.add_argument("folder", type=user_path, metavar="FOLDER", help="to make")
    parser.add_argument("--onnx", action="store_true", help="make ONNX graphs instead")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        raise UsageError(f"{arguments.folder} is there already; delete it, or name another")
    if arguments.onnx:
        _onnx(RunFolder(arguments.run), arguments.folder)
        return
    ship(RunFolder(arguments.run), RunFolder(arguments.folder))
    size = folder_size(arguments.folder)
    print(f"{arguments.folder}: {size / 1e6:.1f} MB; {command('render_agent.py', arguments.folder)}")


def _onnx(run: RunFolder, folder: Path) -> None:
    compute.start_tensorflow()
    from utils.agent.onnx_files import save_onnx

    with tempfile.TemporaryDirectory() as unfinished:
        save_onnx(run, Path(unfinished), print)
        folder.mkdir(parents=True)
        for path in Path(unfinished).iterdir():
            shutil.copyfile(path, folder / path.name)  # a temporary folder itself is for its owner alone
    print(f"all of it in {folder}")


def ship(run: RunFolder, target: RunFolder) -> None:
    """Raises `UsageError`, and makes nothing, if a step of `run` is missing or `target` cannot be the name of a run."""
    config = run.read_config()
    check_agent(run)
    run.require(run.controller / "best.npz", Step.CONTROLLER, "no controller is evaluated yet")
    run.require(run.starts, Step.SERIES, "dreams start from the first frames of the rollouts")
    held_out = episodes.split(run.series_paths(config), config.held_out_fraction)[1]
    run.require_episodes(held_out, Series, Step.SERIES)
    for name, step in KEPT.items():
        run.require(run.path / name, step, "it is part of a shipped agent")
    made_with = ", ".join(f"{key}: {getattr(config, key)}" for key in START)
    history = f"# Made as {run.path.name}, {made_with}\n"
    try:
        named = {"exp_name": target.path.name, "runs_folder": str(target.path.parent)}
        config = Config(**config.model_dump() | named | START)
    except ValidationError:
        raise UsageError(
            f"{target.path}: FOLDER becomes a run: letters, digits, _, - and . make its name, and no - or . begins it"
        ) from None
    for folder in (target.vae, target.rnn, target.controller, target.series):
        folder.mkdir(parents=True)
    with atomic_write(target.path / "config.yaml") as temporary:
        temporary.write_text(history + configuration.dump(config))
    for source, copy in ((run.vae_weights, target.vae_weights), (run.rnn_weights, target.rnn_weights)):
        with atomic_write(copy) as temporary:
            _halve(source, temporary)
    for name in KEPT:
        shutil.copyfile(run.path / name, target.path / name)
    with np.load(run.starts, allow_pickle=False) as starts:
        kept = np.unique(np.linspace(0, len(starts["mu"]) - 1, MAX_STARTS).round().astype(int))
        write_npz(target.starts, **{name: starts[name][kept] for name in ("mu", "logvar")})
    mu, logvar = episodes.spread_steps(held_out, Series, ("mu", "logvar"), MAX_HELD_OUT)
    write_npz(target.held_out, mu=mu, logvar=logvar)
    if run.earlier.exists():
        shutil.copyfile(run.earlier, target.earlier)
    write_json(target.path / "timings.json", run.timings())
    check_rnn(target, config, record=True)  # its V and M are the rounded ones
    check_agent(target, record=True)


def _halve(source: Path, target: Path) -> None:
    """Copies an HDF5 file, with float16 in place of larger floating-point numbers."""
    with h5py.File(source, "r") as theirs, h5py.File(target, "w") as ours:
        for key, value in theirs.attrs.items():
            ours.attrs[key] = value

        def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                array = item[()]
                if np.issubdtype(np.asarray(array).dtype, np.floating):
                    array = np.float16(array)
                made = ours.create_dataset(name, data=array)
            else:
                made = ours.require_group(name)
            for key, value in item.attrs.items():
                made.attrs[key] = value

        theirs.visititems(copy)


if __name__ == "__main__":
    cli.call(main)
