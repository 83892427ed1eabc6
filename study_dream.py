"""Study the dream of a run: how good it is, and what temperature does to it.

RUN is a run folder (runs/<exp_name>) with a trained V and M. `temperatures` also needs a controller, or trains one for
each temperature (--train), in run folders beside it: RUN_at_0.5, RUN_at_1, ... `settings` trains one with the settings
of RUN, and one with each change: a key=value, or several in one pair of quotes. `iterations` takes runs that go on from
one another. A controller that was trained in the dream is scored as it was at the end of training, so that real scores
never select it.

`quality` compares M with predictions without it, which are fitted on the run's training episodes. A shipped agent has
no episodes: `quality --driven N` plays new ones, and shows M alone. `ends` is for runs whose M predicts the end: what
it expects before held-out deaths, how often it is right, how long lives are in the game and in dreams, and how well
what C reads foretells a death.

writes into RUN/dream: quality.csv, .png, .webp (with --driven: driven.csv, ...); temperatures.csv, .png;
settings.csv, .png; ends_where.csv, ends_calibration.csv, ends_lives.csv, ends_foresight.csv, ends.png;
into the last RUN's: iterations.csv, .png

examples
  python study_dream.py quality runs/quickstart
  python study_dream.py quality runs/quickstart --driven 20
  python study_dream.py ends runs/doom_laptop
  python study_dream.py temperatures runs/quickstart
  python study_dream.py temperatures runs/quickstart --train --temperatures 0.1 0.5 1 1.15 1.3 --seeds 2
  python study_dream.py temperatures runs/quickstart --train controller_num_generation=50
  python study_dream.py settings RUN controller_temperature=1.3 'controller_num_rnn=2 controller_start=zero'
  python study_dream.py iterations runs/carracing_dream runs/carracing_dream_2 runs/carracing_dream_3
"""

import argparse
import math
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.environments import get_spec
from utils.run import cli, rounds
from utils.run.folder import RunFolder
from utils.run.provenance import check_agent, check_encoded, check_rnn, check_world
from utils.run.steps import Step
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import user_path, write_csv
from utils.system.processes import usable_cores


def main() -> None:
    arguments = _arguments()
    runs = [RunFolder(path) for path in arguments.run]
    for run in runs:
        run.read_config()
        run.require(run.rnn_weights, Step.RNN, "M is what dreams")
    folder = runs[-1].path / "dream"  # made once there is something to write
    if arguments.study == "quality":
        _quality(*runs, folder, arguments)
    elif arguments.study == "ends":
        _ends(*runs, folder, arguments)
    elif arguments.study == "temperatures":
        _temperatures(*runs, folder, arguments)
    elif arguments.study == "settings":
        _settings(*runs, folder, arguments)
    else:
        _iterations(runs, folder, arguments)


def _quality(run: RunFolder, folder: Path, arguments: argparse.Namespace) -> None:
    config = run.read_config()
    if not arguments.driven:
        check_world(run, config)
    compute.start_tensorflow()
    import numpy as np

    from utils.agent.agent import Agent
    from utils.agent.controllers import load_checked_controller
    from utils.dreams import baselines, open_loop, quality_table, recorded
    from utils.figures.dreams import save_dream_film, save_dream_strip

    agent, training = Agent(config, run), recorded.training_paths(config, run)
    name, parameters = "quality", None
    if arguments.driven:
        name, (parameters, which) = "driven", load_checked_controller(config, run)
        real = recorded.driven(agent, parameters, arguments.driven)
        print(f"{len(real)} episodes played by the controller: {which}")
    else:
        real = recorded.held_out(config, run)
        print(f"{len(real)} held-out episodes")
    windows = open_loop.dream_windows(agent, real, arguments.temperature, parameters)
    fitted = baselines.fit(training, open_loop.HORIZONS, open_loop.BURN_IN) if training else None
    rows = quality_table.table(windows, fitted)
    write_csv(folder / f"{name}.csv", rows[0], (row.values() for row in rows))
    print(f"{len(windows.real)} windows")
    print(quality_table.text(rows, agent.spec.predicts, len(training)))
    if not training:
        print(f"{run.series} has no episodes to fit the baselines on: M is shown alone")
    count = min(arguments.windows, len(windows.real))
    chosen = np.linspace(0, len(windows.real) - 1, count).round().astype(int)
    length = windows.real.shape[1]
    real_frames = np.zeros((count, length, 64, 64, 3), np.uint8)  # black after an end
    for row, i in zip(real_frames, chosen):
        frames = real[windows.episode[i]].frames()[windows.start[i] :][:length]
        row[: len(frames)] = frames
    dreamed = np.stack([agent.codec.decode(windows.dreamed[i, 0]) for i in chosen])
    strip, film = folder / f"{name}.png", folder / f"{name}.webp"
    save_dream_strip(real_frames, dreamed, strip)
    save_dream_film(real_frames, dreamed, film, agent.spec.steps_per_second)
    print(f"table {folder / name}.csv, strip {strip}, film {film}")


def _ends(run: RunFolder, folder: Path, arguments: argparse.Namespace) -> None:
    config = run.read_config()
    if get_spec(config.env_name).predicts != "done":
        raise UsageError(f"{run.path}: M of {config.env_name} predicts the reward, not the end")
    check_encoded(run, config)
    check_rnn(run, config)
    compute.start_tensorflow()
    from utils.agent.agent import Agent
    from utils.agent.controllers import load_checked_controller
    from utils.data.sequences import split_series
    from utils.dreams import ends, foresight
    from utils.figures.ends import save_ends
    from utils.run import episodes

    agent, parameters, which = Agent(config, run), None, "not trained yet"
    if (run.controller / "mean.npz").exists():
        check_agent(run)
        parameters, which = load_checked_controller(config, run)
    series = [episodes.load(path, episodes.Series, config) for path in split_series(config, run)[1]]
    print(f"{len(series)} held-out episodes; C: {which}")
    readings = ends.read(agent, series)
    held_out = ends.expected(readings)
    lives, dreams = ends.lives(agent, run, parameters, arguments.episodes, arguments.steps or agent.spec.max_steps)
    tables = {"where": ends.where_table(held_out, dreams), "calibration": ends.calibration_table(held_out)}
    tables |= {"lives": lives, "foresight": foresight.foresight_table(readings)}
    tables = {name: rows for name, rows in tables.items() if rows}  # few games may hold no death
    for rows in tables.values():
        print(*(f"{name:>14}" for name in rows[0]))
        for row in rows:
            print(*(f"{value:>14.4g}" if isinstance(value, float | int) else f"{value:>14}" for value in row.values()))
    ends.save(tables, folder)
    title = f"{run.path.name}: what M expects of the end"
    save_ends(*held_out, tables["calibration"], lives, tables.get("foresight", []), title, folder / "ends.png")
    print(f"tables {folder}/ends_*.csv, picture {folder / 'ends.png'}")


def _temperatures(run: RunFolder, folder: Path, arguments: argparse.Namespace) -> None:
    compute.start_tensorflow()
    from utils.dreams import temperatures, variants

    title = f"{run.path.name}: one controller in dreams of each temperature"
    if arguments.train:
        count = "one" if arguments.seeds == 1 else str(arguments.seeds)
        title = f"{run.path.name}: controllers trained in the dream, {count} at each temperature"
        variants.check_settings(arguments.overrides, frozenset({"controller_temperature"}))
        at = {f"at_{t:g}": [*arguments.overrides, f"controller_temperature={t}"] for t in arguments.temperatures}
        rows = variants.compare(run, at, arguments.seeds, arguments.workers, arguments.episodes, arguments.steps)
    else:
        rows = temperatures.evaluate_run(run, arguments.temperatures, arguments.episodes, arguments.steps)
    rows.append(temperatures.baseline(run, arguments.episodes, arguments.steps))
    _print(rows, "temperature")
    temperatures.save_table(rows, run, folder / "temperatures.csv", title, arguments.episodes)
    print(f"table {folder / 'temperatures.csv'}, picture {folder / 'temperatures.png'}")


def _settings(run: RunFolder, folder: Path, arguments: argparse.Namespace) -> None:
    compute.start_tensorflow()
    from utils.dreams import variants
    from utils.figures.dream_scores import save_settings

    compared = [[], *(shlex.split(words) for words in arguments.overrides)]  # as they are, before all others
    variants.check_settings([setting for settings in compared for setting in settings])
    named = {variants.name_of(settings): settings for settings in compared}
    rows = variants.compare(run, named, arguments.seeds, arguments.workers, arguments.episodes, arguments.steps)
    _print(rows, "settings")
    write_csv(folder / "settings.csv", rows[0], (row.values() for row in rows))
    save_settings(rows, arguments.episodes, folder / "settings.png")
    print(f"table {folder / 'settings.csv'}, picture {folder / 'settings.png'}")


def _iterations(runs: list[RunFolder], folder: Path, arguments: argparse.Namespace) -> None:
    compute.start_tensorflow()
    from utils.dreams import iterations

    curves = [rounds.curve(run) for run in runs]
    rows = iterations.compare(runs, arguments.episodes, arguments.steps)
    _print(rows, "run")
    iterations.save_table(rows, curves, folder / "iterations.csv")
    print(f"table {folder / 'iterations.csv'}, picture {folder / 'iterations.png'}")


def _print(rows: list[dict], first: str) -> None:
    print(f"{first:16}    in the dream    in the real environment")
    for row in rows:
        scores = (
            " " * 19 if row[f"{where}_mean"] is None else f"{row[f'{where}_mean']:9.1f} +- {row[f'{where}_std']:6.1f}"
            for where in ("dream", "real")
        )
        print(f"{row[first] or '':16}", *scores, f" {row['controller']}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    studies = parser.add_subparsers(dest="study", required=True)
    quality = studies.add_parser("quality", help="open-loop dreams beside what happened in held-out episodes")
    ends = studies.add_parser("ends", help="what M expects of the end, beside held-out deaths and lives in the game")
    sweep = studies.add_parser("temperatures", help="scores in dreams of several temperatures and outside")
    settings = studies.add_parser("settings", help="controllers that learn in its dreams with other settings of step 5")
    iterations = studies.add_parser("iterations", help="scores in the dream and outside, run after run")
    for study, count in (quality, 1), (ends, 1), (sweep, 1), (settings, 1), (iterations, "+"):
        study.add_argument(
            "run", type=user_path, nargs=count, metavar="RUN", help="run folder whose V and M are trained"
        )
    quality.add_argument("--temperature", type=float, default=1.0, help="of the dreams (%(default)s)")
    quality.add_argument("--windows", type=int, default=4, metavar="N", help="dreams that are shown (%(default)s)")
    quality.add_argument(
        "--driven", type=int, metavar="N", help="N episodes that the controller plays now, instead of the held-out ones"
    )
    sweep.add_argument(
        "--temperatures", type=float, nargs="+", default=[0.1, 0.5, 1.0, 1.15, 1.3], metavar="TAU",
        help="the chapter's: 0.1 0.5 1 1.15 1.3",
    )  # fmt: skip
    for study in (ends, sweep, settings, iterations):
        study.add_argument("--episodes", type=int, default=100, metavar="N", help="scored in each (%(default)s)")
        study.add_argument("--steps", type=int, metavar="N", help="of an episode at most (the environment's limit)")
    sweep.add_argument("--train", action="store_true", help="train a controller in the dream of each temperature first")
    for study in (sweep, settings):
        study.add_argument(
            "--seeds", type=int, default=1, metavar="N", help="controllers to train for each row (%(default)s)"
        )
        study.add_argument("--workers", type=int, default=usable_cores(), metavar="N", help="of step 5 (%(default)s)")
    cli.offer_overrides(sweep, "settings of step 5, with --train")
    cli.offer_overrides(settings, "a change of step 5's settings; each change gets controllers of its own")
    words, overrides = cli.overrides_apart()
    arguments = parser.parse_args(words)
    arguments.overrides = overrides
    if overrides and arguments.study != "settings" and not getattr(arguments, "train", False):
        parser.error(f"{overrides[0]}: settings are for `settings` and `temperatures --train` alone")
    asked = getattr(arguments, "temperatures", [getattr(arguments, "temperature", 1.0)])
    for temperature in asked:
        if not 0 < temperature < math.inf:
            raise UsageError(f"temperature {temperature:g}: must be a number above 0")
    cli.check_at_least(1, arguments, "windows", "driven", "episodes", "steps", "seeds")
    cli.check_at_least(0, arguments, "workers")
    return arguments


if __name__ == "__main__":
    cli.call(main)
