"""List run folders: their size, how far each step is, and the scores; compare several in one picture.

Without RUN all run folders in runs/ are listed. With --picture the learning curves of the runs whose step 5 has begun
are drawn into one picture.

In the table "V: error" is the squared error of a held-out frame, "M: NLL" that of held-out steps in nats for each
number of z, "C: score" the evaluation by step 5 of the mean that is C, and "score.json" what render_agent.py has
written there.

examples
  python compare_runs.py
  python compare_runs.py runs/seed_1 runs/seed_2 --picture seeds.png
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.run import cli, overview
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import user_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="*", type=user_path, metavar="RUN", help="run folders (all in runs/)")
    parser.add_argument(
        "--picture", type=user_path, metavar="FILE", help="draw their learning curves: .png, .svg, .pdf"
    )
    arguments = parser.parse_args()
    runs = [RunFolder(path) for path in arguments.run] or overview.find(Path("runs"))
    if not runs:
        raise UsageError("there are no run folders in runs/; name some, or run 01_generate_data.py first")
    print(overview.text([overview.row(run) for run in runs]))
    if arguments.picture:
        _draw(runs, arguments.picture)


def _draw(runs: list[RunFolder], path: Path) -> None:
    begun = [run for run in runs if (run.controller / "log.csv").exists()]
    if not begun:
        raise UsageError("--picture: in none of these runs has step 5 begun")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--picture {path}: a name that ends in .png, .svg or .pdf is needed")
    from utils.figures.learning_curve import save_comparison

    logs = {str(run.path): (run.log(Step.CONTROLLER), run.read_config().controller_eval_episode) for run in begun}
    save_comparison(logs, path)
    print(f"learning curves of {len(begun)} runs: {path}")


if __name__ == "__main__":
    cli.call(main, timed=False)
