"""Draw what a run has learned, figure by figure and on one page.

RUN is a run folder (runs/<exp_name>). Without NAMEs it draws every figure that the finished steps allow, and
the page RUN/report.html with all of them in one file. `dream_page` is no picture but a page, RUN/dream.html: the dream
of the run in a browser, where C or you act.

reads   runs/<exp_name>: whatever exists
writes  runs/<exp_name>/figures/NAME.png, report.html and dream.html

examples
  python -m utils.figures runs/quickstart
  python -m utils.figures runs/quickstart traversal prior
  python -m utils.figures runs/quickstart mixture --dimension 7
  python -m utils.figures runs/quickstart grid --dimensions 4 7
  python -m utils.figures runs/quickstart frames --episode 12 --start 100
  python -m utils.figures runs/quickstart ways --episodes 25
  python -m utils.figures pretrained/carracing dream_page
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # called by its path: Python then looks for modules in this folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from utils.run import cli
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import user_path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m utils.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="figures to draw (all that can be drawn, and the page)"
    )
    parser.add_argument(
        "--episodes", type=int, default=100, metavar="N", help="episodes that C plays for `ways` (%(default)s)"
    )
    parser.add_argument(
        "--dimension", type=int, metavar="D", help="dimension of z for `mixture` (the most telling one)"
    )
    parser.add_argument(
        "--dimensions", type=int, nargs=2, metavar="D", help="dimensions of z for `grid` (the two most telling ones)"
    )
    parser.add_argument(
        "--episode", type=int, metavar="N", help="the episode to show (the held-out one with the most reward)"
    )
    parser.add_argument(
        "--start", type=int, metavar="STEP", help="where `frames` begins, what `encoding` shows (a turn)"
    )
    arguments = parser.parse_args()
    if arguments.episodes < 1:
        raise UsageError(f"--episodes {arguments.episodes}: at least 1 is needed")
    run = RunFolder(arguments.run)
    config = run.read_config()
    asked = [("--dimension", arguments.dimension), *(("--dimensions", given) for given in arguments.dimensions or ())]
    for option, dimension in asked:
        if dimension is not None and not 0 <= dimension < config.z_size:
            raise UsageError(f"{option} {dimension}: 0 to {config.z_size - 1} are there")
    if arguments.start is not None and arguments.start < 0:
        raise UsageError(f"--start {arguments.start}: steps are counted from 0")
    compute.start_tensorflow()
    from utils.figures.catalogue import FIGURES
    from utils.figures.dream_page import save_dream_page
    from utils.figures.inputs import FigureInputs
    from utils.figures.report import save_report

    draw = {name: (figure.save, run.figures / f"{name}.png") for name, figure in FIGURES.items()}
    draw["dream_page"] = save_dream_page, run.dream_page
    for name in arguments.names:
        if name not in draw:
            raise UsageError(f"{name}: no such figure; there are {', '.join(draw)}")
    inputs = FigureInputs(
        run, arguments.episodes, arguments.dimension, arguments.dimensions, arguments.episode, arguments.start
    )
    for name in arguments.names or draw:
        save, path = draw[name]
        try:
            save(inputs, path)
        except UsageError as error:
            if arguments.names:
                raise
            print(f"{name}: not drawn: {error}")
            path.unlink(missing_ok=True)  # an older one would show what was replaced since
        else:
            print(f"{name}: {path}", flush=True)
    if not arguments.names:
        save_report(run)
        print(f"all of it on one page: {run.report}")


if __name__ == "__main__":
    cli.call(main)
