"""Is the dream right about policies that M has not seen? How long simple policies live in it, and outside.

    python -m benchmarks.dream_lives runs/doom_laptop

Policies that stand still, always move left, always move right, or move at random, and the latest mean of the evolution,
which no real score has selected. Each plays the same number of real episodes and of dreams, at temperature 1 and at the
temperature of the run. --store writes benchmarks/results/dream_lives_RUN.json.
"""

import numpy as np

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.run import cli
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.files import user_path
from utils.system.progress import Progress


def main() -> None:
    parser = with_store(command("dream_lives", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder of a trained agent")
    parser.add_argument("--episodes", type=at_least_1, default=50, metavar="N", help="of each policy (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    compute.start_tensorflow()
    from utils.agent.agent import Agent
    from utils.agent.checkpoints import load_without_selection
    from utils.agent.evaluate import FIRST_EVALUATION_SEED, evaluation_jobs, score, score_exploration

    folder = RunFolder(arguments.run)
    config = folder.read_config()
    agent = Agent(config, folder)
    spec, jobs = agent.spec, evaluation_jobs(FIRST_EVALUATION_SEED, arguments.episodes)
    temperatures = sorted({1.0, config.controller_temperature})
    controller, which = load_without_selection(config, folder)
    size, table = spec.action_size, {}
    policies = {
        "still": lambda rng: lambda obs: np.zeros(size, np.float32),
        "left": lambda rng: lambda obs: np.full(size, -1, np.float32),
        "right": lambda rng: lambda obs: np.ones(size, np.float32),
        "random": spec.explorations[spec.baseline_policy],
    }
    for name, explore in policies.items():
        outcomes = score_exploration(spec, explore, jobs, False, spec.max_steps, Progress(name, "episodes"))
        table[name] = _row([outcome.steps for outcome in outcomes])
        for temperature in temperatures:
            table[name] |= _row(_dreamed(agent, folder, explore, jobs, temperature), temperature)
        _say(name, table[name])
    outcomes = score(agent, controller, jobs, False, spec.max_steps, Progress("agent", "episodes"))
    table["agent"] = _row([outcome.steps for outcome in outcomes])
    from utils.dreams.evaluator import DreamEvaluator

    evaluator = DreamEvaluator(agent, folder)
    for temperature in temperatures:
        evaluator.temperature = temperature
        lives = evaluator.score(controller[None], jobs, spec.max_steps)
        table["agent"] |= _row([outcome.steps for outcome in lives], temperature)
    _say(f"agent ({which})", table["agent"])
    store(arguments, f"dream_lives_{folder.path.name}", {"episodes": len(jobs), "agent": which, "steps": table})


def _dreamed(agent, folder: RunFolder, explore, jobs, temperature: float) -> np.ndarray:
    """Steps that a policy without observations lives in each dream, (jobs,). All dreams run in one batch."""
    from utils.dreams.batch import DreamBatch

    dreams = DreamBatch(folder, len(jobs), temperature)
    policies = [explore(np.random.default_rng(job.draw_seed)) for job in jobs]
    for env_index, job in enumerate(jobs):
        dreams.begin(env_index, job.env_seed)
    lives, alive = np.zeros(len(jobs), int), np.ones(len(jobs), bool)
    for _ in range(agent.spec.max_steps):
        _, done = dreams.step(np.stack([policy(None) for policy in policies]))
        lives += alive
        alive &= ~done
        if not alive.any():
            break
    return lives


def _row(steps, temperature: float | None = None) -> dict[str, list[float]]:
    where = "real" if temperature is None else f"dream {temperature:g}"
    return {where: [round(float(np.mean(steps)), 1), round(float(np.std(steps)), 1)]}


def _say(name: str, row: dict[str, list[float]]) -> None:
    print(f"{name}: " + "; ".join(f"{where} {mean:.0f} +- {std:.0f}" for where, (mean, std) in row.items()), flush=True)


if __name__ == "__main__":
    cli.call(main)
