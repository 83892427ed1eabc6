"""What do z, h and a hidden layer bring? The paper's ablations, and the replication's untrained M.

    python -m benchmarks.ablations runs/carracing --store
    python -m benchmarks.ablations runs/carracing controller_num_generation=100 controller_num_episode=4
    python -m benchmarks.ablations runs/carracing --rows z_h --latents mean --store

Each row is a run beside RUN. It goes on from V of RUN, and from its M where M is trained, and evolves a C from zero.
All rows have the settings of RUN; key=value changes them for all. C is the mean with the best evaluation. It is then
scored on other tracks. Rows that are done are not repeated, and one that was stopped goes on.
--store writes each row into benchmarks/results/ablations.csv as it is done, in place of one of the same name there.
"""

import csv
import subprocess
from pathlib import Path

from benchmarks.report import RESULTS, announce, at_least_1, command, scores_of_agent, with_store
from utils.run import cli, rounds
from utils.run import config as configuration
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import write_csv

# What C reads and is, by the name of the row; the last part of its run folder's name; settings.
VARIANTS = {
    "z": ("z", ["controller_inputs=[z]"]),
    "z through 40 hidden units": ("z_hidden", ["controller_inputs=[z]", "controller_hidden=40"]),
    "z and h, M never trained": ("untrained", ["controller_inputs=[z, h]", "rnn_start=random", "rnn_num_steps=0"]),
    "z and h": ("z_h", ["controller_inputs=[z, h]"]),
}
PAPER = {"z": "632 +- 251", "z through 40 hidden units": "788 +- 141", "z and h": "906 +- 21"}
TAKEN_OVER = ["rollout_policy=explore", "vae_num_epoch=0", "rnn_num_steps=0", "controller_start=zero"]


def settings_of(run: RunFolder, name: str, latent: str, overrides: list[str]) -> list[str]:
    """The `key=value` of a row, on top of RUN's configuration."""
    suffix, settings = VARIANTS[name]
    path = run.path.resolve()
    where = [f"exp_name={path.name}_{suffix}_{latent}", f"runs_folder={path.parent}", f"previous_run={path}"]
    return [*where, *TAKEN_OVER, *settings, f"controller_latent={latent}", *overrides]


def evolve(run: RunFolder, settings: list[str], workers: int | None) -> RunFolder:
    """Does the five steps of a row. Returns its run. Raises `UsageError` if a step fails."""
    row = rounds.run_of(configuration.load(run.path / "config.yaml", settings))
    for step in Step:
        if subprocess.run([*cli.step_command(step, run.path / "config.yaml", settings, workers), "--brief"]).returncode:
            raise UsageError(f"{step.script} did not finish in {row.path}; the line above says why")
    return row


def row_of_table(name: str, latent: str, config: Config, run: RunFolder, agent: dict) -> dict:
    log = run.log(Step.CONTROLLER)
    return {
        "C reads": name, "z": latent, "parameters": config.controller.num_parameters, "generations": len(log),
        "minutes": round(run.timings()[Step.CONTROLLER] / 60, 1), "mean": round(agent["mean"], 1),
        "std": round(agent["std"], 1), "episodes": len(agent["episodes"]), "paper": PAPER.get(name, ""),
    }  # fmt: skip


def into_table(path: Path, row: dict) -> None:
    """Writes a row into the stored table, in place of one with the same inputs of C and the same z. Others stay."""
    rows = {}
    if path.exists():
        with path.open(newline="") as file:
            rows = {(stored["C reads"], stored["z"]): stored for stored in csv.DictReader(file)}
    rows[row["C reads"], row["z"]] = row  # where the old one was
    write_csv(path, row, (one.values() for one in rows.values()))


def main() -> None:
    parser = with_store(command("ablations", __doc__))
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder whose V and M are trained")
    parser.add_argument("--latents", nargs="+", choices=("sample", "mean"), default=["sample", "mean"], help="(both)")
    suffixes = [suffix for suffix, _ in VARIANTS.values()]
    parser.add_argument("--rows", nargs="+", choices=suffixes, default=suffixes, help="what C reads and is (all)")
    parser.add_argument("--episodes", type=at_least_1, default=100, metavar="N", help="scored in each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1000, metavar="S", help="of the first one (%(default)s)")
    parser.add_argument("--workers", type=at_least_1, metavar="N", help="of step 5: one for each core if not given")
    cli.offer_overrides(parser, "settings of step 5, for all rows")
    words, overrides = cli.overrides_apart()
    arguments = parser.parse_args(words)
    announce(arguments)
    run, rows = RunFolder(arguments.run), []
    names = [name for name, (suffix, _) in VARIANTS.items() if suffix in arguments.rows]
    run.require_vae()
    run.require_rnn()
    for latent in arguments.latents:
        for name in names:
            settings = settings_of(run, name, latent, overrides)
            config = configuration.load(run.path / "config.yaml", settings)
            print(f"\n{name}, z: {latent}", flush=True)
            row = evolve(run, settings, arguments.workers)
            agent = scores_of_agent(row.path, row.path / "score.json", arguments.episodes, arguments.seed)
            rows.append(row_of_table(name, latent, config, row, agent))
            if arguments.store:
                into_table(RESULTS / "ablations.csv", rows[-1])
    print()
    for row in rows:
        print(f"{row['C reads']:28} z: {row['z']:8} {row['mean']:7.1f} +- {row['std']:5.1f}   paper: {row['paper']}")
    if arguments.store:
        print(f"stored in {RESULTS / 'ablations.csv'}")


if __name__ == "__main__":
    cli.call(main)
