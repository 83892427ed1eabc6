"""Does bfloat16 change the scores of dreams? The same dreams with M's products in float32 and in bfloat16.

RUN is a run folder with a trained controller. Compared are its score over 1,024 dreams, and the ranking of a population
of 64 around it, each candidate in the same 512 dreams. "moved" is bfloat16's mean less float32's.

examples
  python -m benchmarks.dream_precision pretrained/carracing --store
"""

import argparse

import numpy as np

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.run import cli
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.files import user_path

POPULATION = 64


def main() -> None:
    parser = with_store(command("dream_precision", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder with a trained controller")
    parser.add_argument("--dreams", type=at_least_1, default=1024, metavar="N", help="of the controller (%(default)s)")
    parser.add_argument("--each", type=at_least_1, default=512, metavar="N", help="dreams a candidate (%(default)s)")
    parser.add_argument("--steps", type=at_least_1, metavar="N", help="of a dream at most (the environment's limit)")
    parser.add_argument("--sigma", type=float, default=0.1, help="spread of the population (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    compute.start_tensorflow()
    run = RunFolder(arguments.run)
    (own, population), (own_16, population_16) = (_scores(run, name, arguments) for name in ("float32", "bfloat16"))
    report = {
        "float32": np.mean(own),
        "bfloat16": np.mean(own_16),
        "standard error of float32": _standard_error(own),
        "moved": np.mean(own_16 - own),
        "standard error of moved": _standard_error(own_16 - own),
        "population, moved": np.mean(population_16 - population),
        "population, standard error of moved": _standard_error(population_16 - population),
        "population, standard deviation": np.std(population),
        "population, rank correlation": np.corrcoef(_ranks(population), _ranks(population_16))[0, 1],
    }
    for name, value in report.items():
        print(f"{name:38}{value:10.4f}")
    sizes = {name: getattr(arguments, name) for name in ("dreams", "each", "steps", "sigma")}
    results = {name: float(value) for name, value in report.items()}
    store(arguments, f"dream_precision_{run.path.resolve().name}", {**sizes, **results})


def _scores(run: RunFolder, precision: str, arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Of the controller in each dream, and of each candidate of the population the mean of its dreams."""
    from utils.agent.agent import Agent
    from utils.agent.controllers import load_controller
    from utils.agent.rollouts import Job
    from utils.dreams.evaluator import DreamEvaluator

    config = run.read_config().model_copy(update={"rnn_precision": precision})
    agent = Agent(config, run)
    evaluator, (parameters, _) = DreamEvaluator.of_run(agent, run), load_controller(config, run)

    def score(candidates: np.ndarray, dreams: int) -> np.ndarray:
        jobs = [Job(seed, seed, index) for index in range(len(candidates)) for seed in range(dreams)]
        outcomes = evaluator.score(candidates, jobs, arguments.steps or agent.spec.max_steps)
        return np.array([outcome.score for outcome in outcomes]).reshape(len(candidates), dreams)

    noise = np.random.default_rng(0).standard_normal((POPULATION, len(parameters)), np.float32)
    population = score(parameters + np.float32(arguments.sigma) * noise, arguments.each)
    return score(parameters[None], arguments.dreams)[0], population.mean(axis=1)


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def _standard_error(values: np.ndarray) -> np.floating:
    return np.std(values, ddof=1) / np.sqrt(len(values))


if __name__ == "__main__":
    cli.call(main)
