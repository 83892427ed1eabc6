"""Watch, film and score a trained agent.

RUN is a run folder (runs/<exp_name>). The agent plays the episodes of seeds S, S+1, ...: the same ones for everybody.
The film shows the one with the median score.

examples
  python render_agent.py runs/quickstart
  python render_agent.py runs/quickstart --episodes 1 --film quickstart.webp
  python render_agent.py runs/quickstart --episodes 100 --seed 1000 --stock --random --json scores.json
  python render_agent.py runs/quickstart --window
  python render_agent.py runs/quickstart --dream --film dream.webp --temperature 1.2
  python render_agent.py runs/quickstart --film beside.webp --beside
  python render_agent.py runs/quickstart --dream --window

keys in the window
  m                     you play, or the agent again
  arrows                a car: steer, gas and brake; Doom: left and right
  shift + up, down      a hotter or colder dream
  d                     from the real environment to the dream, or back
  r                     the same episode from its start
  Escape, q             close
"""

import argparse
import math
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

import numpy as np

from utils.run import cli
from utils.run.folder import RunFolder
from utils.run.summaries import statistics
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import user_path, write_json
from utils.system.progress import Progress

if TYPE_CHECKING:
    from utils.agent.agent import Agent
    from utils.agent.evaluate import Frame
    from utils.agent.rollouts import Job, Outcome


def main() -> None:
    arguments = _arguments()
    run = RunFolder(arguments.run)
    config = run.read_config()
    from utils.agent.controllers import agent_fingerprint, load_controller
    from utils.figures.film import check_film_path

    fingerprint = agent_fingerprint(config, run)  # before the episodes: the run may learn on meanwhile
    if arguments.film:
        check_film_path(arguments.film)
    compute.start_tensorflow()
    from utils.agent.agent import Agent

    agent = Agent(config, run)
    parameters, which = load_controller(config, run)
    print(f"{run.path}: controller: {which}")
    versions = {"gymnasium": metadata.version("gymnasium")}  # it holds CarRacing's rule
    about = {"run": str(run.path), "controller": which, "fingerprint": fingerprint} | versions
    arguments.steps = arguments.steps or agent.spec.max_steps
    arguments.temperature = arguments.temperature or config.controller_temperature
    program = _play if arguments.window else _score_in_dream if arguments.dream else _score
    program(arguments, agent, run, parameters, about)


def _play(arguments: argparse.Namespace, agent: "Agent", run: RunFolder, parameters: np.ndarray, about: dict) -> None:
    """In a window."""
    from utils.play.game import DreamPlay, Game, RealPlay
    from utils.play.window import Window

    window = Window(f"World Models: {run.path}", agent.spec)
    game = Game(
        lambda: RealPlay(agent, parameters, arguments.stock),
        lambda: DreamPlay(agent, run, parameters, arguments.temperature),
        arguments.dream, arguments.seed, arguments.steps,
    )  # fmt: skip
    window.run(game, arguments.episodes)
    for seed, dreamed, score in game.scores:
        print(f"{'dream' if dreamed else agent.spec.episode_noun} {seed}: {score:.1f}")


def _score(arguments: argparse.Namespace, agent: "Agent", run: RunFolder, parameters: np.ndarray, about: dict) -> None:
    """In the real environment."""
    from utils.agent import evaluate

    spec, jobs = agent.spec, evaluate.evaluation_jobs(arguments.seed, arguments.episodes)
    how = jobs, arguments.stock, arguments.steps
    outcomes = evaluate.score(agent, parameters, *how, Progress("agent", "episodes"))
    report = about | {"environment": "the unmodified environment" if arguments.stock else spec.env_id}
    report["agent"] = _summary("agent", jobs, outcomes, spec.episode_noun)
    if arguments.random:
        explore = spec.explorations[spec.baseline_policy]
        random = evaluate.score_exploration(spec, explore, *how, Progress("random policy", "episodes"))
        report["random"] = _summary("random policy", jobs, random, spec.episode_noun)
    _save_report(report, arguments.json)
    if arguments.film:
        median = evaluate.median([outcome.score for outcome in outcomes])
        frames = evaluate.record_episode(agent, parameters, *how, Progress("film", "episodes"), median)
        dream = None
        if arguments.beside:
            _dream(arguments, agent, run, parameters, about)
            _, dream = _record_dream(arguments, agent, run, parameters)
        _save_film(frames, agent, arguments.film, f"{spec.episode_noun} {jobs[median].env_seed}", dream)


def _score_in_dream(
    arguments: argparse.Namespace, agent: "Agent", run: RunFolder, parameters: np.ndarray, about: dict
) -> None:
    _save_report(_dream(arguments, agent, run, parameters, about), arguments.json)
    if arguments.film:
        seed, frames = _record_dream(arguments, agent, run, parameters)
        _save_film(frames, agent, arguments.film, f"dream {seed}")


def _dream(arguments: argparse.Namespace, agent: "Agent", run: RunFolder, parameters: np.ndarray, about: dict) -> dict:
    """The report of dreams, which it prints."""
    from utils.agent.evaluate import evaluation_jobs
    from utils.dreams.evaluator import DreamEvaluator

    jobs = evaluation_jobs(arguments.seed, arguments.episodes)
    evaluator = DreamEvaluator(agent, run, [agent.rnn])
    evaluator.temperature = arguments.temperature
    outcomes = evaluator.score(parameters[None], jobs, arguments.steps)
    report = about | {"environment": f"dream at temperature {arguments.temperature:g}"}
    report["agent"] = _summary("agent", jobs, outcomes, "dream")
    return report


def _record_dream(
    arguments: argparse.Namespace, agent: "Agent", run: RunFolder, parameters: np.ndarray
) -> "tuple[int, list[Frame]]":
    from utils.dreams.filmed import record_median

    seeds = list(range(arguments.seed, arguments.seed + arguments.episodes))
    return record_median(agent, run, parameters, arguments.temperature, seeds, arguments.steps)


def _summary(who: str, jobs: "list[Job]", outcomes: "list[Outcome]", noun: str) -> dict:
    """Prints and returns the scores."""
    episodes = [
        {"seed": job.env_seed, "score": outcome.score, "steps": outcome.steps} for job, outcome in zip(jobs, outcomes)
    ]
    summary = statistics([outcome.score for outcome in outcomes])
    print(
        f"{who} on {len(episodes)} {noun}s: {summary['mean']:.1f} +- {summary['std']:.1f}, "
        f"from {summary['min']:.1f} to {summary['max']:.1f}"
    )
    return summary | {"episodes": episodes}


def _save_report(report: dict, path: Path | None) -> None:
    if path:
        write_json(path, report)
        print(f"scores in {path}")


def _save_film(
    frames: "list[Frame]", agent: "Agent", path: Path, what: str, dream: "list[Frame] | None" = None
) -> None:
    from utils.agent.evaluate import STEPS_PER_FRAME
    from utils.figures.film import compose, compose_beside, save_film

    names, score = agent.spec.action_names, f"{frames[-1].score:.1f}"
    if dream:
        images = compose_beside(dream, frames, names)
        what, score = f"a dream beside {what}", f"{dream[-1].score:.1f} in the dream and {score} outside"
    else:
        images = [compose(frame, names) for frame in frames]
    save_film(images, path, agent.spec.steps_per_second / STEPS_PER_FRAME)
    print(f"film of {what}, {len(images)} frames, score {score}: {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder of a trained agent")
    parser.add_argument("--episodes", type=int, default=16, metavar="N", help="episodes to score (%(default)s)")
    parser.add_argument("--seed", type=int, default=1000, metavar="S", help="seed of the first episode (%(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="steps an episode has at most (the environment's limit)")
    parser.add_argument(
        "--film", type=user_path, metavar="FILE", help="film the episode with the median score: .gif, .webp or .mp4"
    )
    parser.add_argument(
        "--beside", action="store_true", help="with --film: the dream with the median score beside it, as V sees both"
    )
    parser.add_argument("--window", action="store_true", help="show the episodes live, and play in them")
    parser.add_argument("--dream", action="store_true", help="in the dream of the run's M instead")
    parser.add_argument("--temperature", type=float, metavar="TAU", help="of the dream (controller_temperature)")
    parser.add_argument(
        "--stock",
        action="store_true",
        help="in the unmodified environment, with the pictures it draws itself; Doom: on its own, larger screen",
    )
    parser.add_argument("--random", action="store_true", help="score a random policy on the same episodes as well")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="write every score to this file")
    arguments = parser.parse_args()
    for name in ("episodes", "steps"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1 is needed")
    if arguments.window and (arguments.film or arguments.json or arguments.random):
        raise UsageError("--window shows the agent live; give --film, --json and --random in a call of their own")
    if arguments.beside and (arguments.dream or not arguments.film):
        raise UsageError("--beside films a dream beside a real episode: it needs --film, and no --dream")
    if arguments.dream and (arguments.stock or arguments.random):
        raise UsageError("--dream: the dream has no --stock and no --random; score them in a call of their own")
    if arguments.temperature is not None and not (arguments.dream or arguments.window or arguments.beside):
        raise UsageError("--temperature needs --dream, --window or --beside")
    if arguments.temperature is not None and not 0 < arguments.temperature < math.inf:
        raise UsageError(f"--temperature {arguments.temperature:g}: must be a number above 0")
    if not 0 <= arguments.seed <= 2**31 - arguments.episodes:
        raise UsageError(f"--seed {arguments.seed}: 0 to 2^31, less the number of episodes, is what seeds can be")
    return arguments


if __name__ == "__main__":
    cli.call(main)
