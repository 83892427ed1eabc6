"""What the Makefile has to know of a configuration: its run folder, or the extra that its environment needs.

python -m utils.which config/quickstart.yaml run
python -m utils.which config/doom_quickstart.yaml extra
"""

import argparse
from pathlib import Path

from utils.environments import get_spec
from utils.run import cli
from utils.run import config as configuration


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m utils.which", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("what", choices=("run", "extra"))
    arguments = parser.parse_args()
    config = configuration.load(arguments.config)
    run = Path(config.runs_folder) / config.exp_name
    print(run if arguments.what == "run" else get_spec(config.env_name).pip_extra or "")


if __name__ == "__main__":
    cli.call(main, timed=False)
