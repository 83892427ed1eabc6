"""Doom without looking: how long does an agent live that only runs to and fro, in the game and in M's dreams?

    python -m benchmarks.sweeps runs/doom_laptop --store

A policy runs so many steps one way, then so many the other way, whatever comes. The room is some 105 steps wide: short
ways turn before the walls, long ones wait at them. The policy is the same in the game and in dreams, and nothing was
trained in either, so what differs is M: a C that learns in its dream can only be as right as the dream about when to
turn. Mean and standard deviation of steps, and deaths per 1000 steps in the first 200 steps, in the next 200, and so
on: the game becomes more dangerous. Dreams are of each temperature and of each `controller_dream_end`, with the run's
dropout and without.
"""

import itertools

import numpy as np

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.agent import evaluate
from utils.environments import get_spec
from utils.environments.spec import Explorer
from utils.run import cli
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import user_path
from utils.system.progress import Progress

BLOCK, LAST_BLOCK = 200, 1200


def deaths_per_1000_steps(lives: np.ndarray, max_steps: int) -> list[float]:
    """In each BLOCK of steps up to LAST_BLOCK. lives: steps, (episodes,). One that lasts for max_steps is no death."""
    died, hazards = lives < max_steps, []
    for begin in range(0, LAST_BLOCK, BLOCK):
        deaths = int((died & (lives > begin) & (lives <= begin + BLOCK)).sum())
        hazards.append(round(1000 * deaths / max(int(np.clip(lives - begin, 0, BLOCK).sum()), 1), 2))
    return hazards


def sweep(pace: int) -> Explorer:
    """Turns after `pace` steps. The first way is half as long, as the agent begins in the middle."""
    step = pace // 2 - 1

    def act(obs: np.ndarray) -> np.ndarray:
        nonlocal step
        step += 1
        return np.full(1, -1.0 if step // pace % 2 == 0 else 1.0, np.float32)

    return act


def main() -> None:
    parser = with_store(command("sweeps", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder of Doom with a trained M")
    parser.add_argument("--paces", type=at_least_1, nargs="+", default=[60, 75, 95, 115, 140, 160], metavar="STEPS")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 1.15], metavar="T")
    parser.add_argument("--ends", nargs="+", choices=("threshold", "drawn"), default=["threshold", "drawn"])
    parser.add_argument("--episodes", type=at_least_1, default=100, metavar="N", help="games and dreams (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    compute.start_tensorflow()
    from utils.agent.agent import Agent
    from utils.dreams.ends import dreamed_lives, exploring, mean_std

    run = RunFolder(arguments.run)
    config = run.read_config()
    spec = get_spec(config.env_name)
    if spec.action_size != 1 or spec.predicts != "done":
        raise UsageError(f"{run.path}: {config.env_name} has no to and fro, only WorldModels/TakeCover-v0 has")
    dropouts = sorted({0.0, config.controller_dream_dropout})
    jobs, rows = evaluate.evaluation_jobs(evaluate.FIRST_EVALUATION_SEED, arguments.episodes), []
    agent = Agent(config, run)
    for pace in arguments.paces:
        explore = lambda rng, pace=pace: sweep(pace)  # noqa: E731
        outcomes = evaluate.score_exploration(spec, explore, jobs, False, spec.max_steps, Progress("game", "games"))
        lives = {"game": np.array([outcome.steps for outcome in outcomes])}
        for end, rate, temperature in itertools.product(arguments.ends, dropouts, arguments.temperatures):
            agent.config = config.model_copy(update={"controller_dream_end": end, "controller_dream_dropout": rate})
            act, name = exploring(explore, jobs), f"dream_{end}_{temperature:g}" + f"_dropout_{rate:g}" * bool(rate)
            lives[name], _ = dreamed_lives(agent, run, act, jobs, temperature, spec.max_steps)
        for where, steps in lives.items():
            hazards = deaths_per_1000_steps(steps, spec.max_steps)
            rows.append({"pace": pace, "where": where, **mean_std("steps", steps), "deaths_per_1000_steps": hazards})
            print(f"{pace} {where:24} {steps.mean():5.0f} +- {steps.std():4.0f}  {hazards}", flush=True)
    name = f"sweeps_{arguments.run.resolve().name}"
    store(arguments, name, {"episodes": arguments.episodes, "block": BLOCK, "rows": rows})


if __name__ == "__main__":
    cli.call(main)
