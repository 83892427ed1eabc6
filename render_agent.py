"""Watch, film and score a trained agent.

RUN is a run folder (runs/<exp_name>). The agent drives on the tracks, or plays the games, of seeds S, S+1, ...: the
same ones for everybody. The film shows the one with the median score.

examples
  python render_agent.py runs/quickstart
  python render_agent.py runs/quickstart --episodes 1 --film quickstart.webp
  python render_agent.py runs/quickstart --episodes 100 --seed 1000 --stock --random --json scores.json
  python render_agent.py runs/quickstart --window
  python render_agent.py runs/quickstart --dream --film dream.webp --temperature 1.2
  python render_agent.py runs/quickstart --dream --window

keys in the window
  m                     you act, and the agent again
  arrows                a car: steer, gas and brake; Doom: left and right
  shift + up, down      a hotter or colder dream
  d                     flips between dream and reality
  r                     begins again
  Escape, q             close
"""

import argparse
import math
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which PYTHONSAFEPATH leaves out

import numpy as np

from utils.run import cli
from utils.run.folder import RunFolder
from utils.run.provenance import check_agent
from utils.run.summaries import statistics
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import user_path, write_json
from utils.system.progress import Progress


def main() -> None:
    arguments = _arguments()
    run = RunFolder(arguments.run)
    config = run.read_config()
    from utils.figures.film import STEPS_PER_FRAME, check_film_path, compose, save_film

    check_agent(run)
    if arguments.film:
        check_film_path(arguments.film)
    compute.start_tensorflow()
    from utils.agent import evaluate
    from utils.agent.agent import Agent
    from utils.agent.checkpoints import load_parameters

    agent = Agent(config, run)
    parameters, which = load_parameters(run, agent.num_parameters)
    spec = agent.spec
    print(f"{run.path}: controller: {which}")
    jobs = evaluate.evaluation_jobs(arguments.seed, arguments.episodes)
    max_steps = arguments.steps or spec.max_steps
    temperature = arguments.temperature or config.controller_temperature
    if arguments.window:
        from utils.play.game import DreamPlay, Game, RealPlay
        from utils.play.window import Window

        window = Window(f"World Models: {run.path}", spec)
        game = Game(
            lambda: RealPlay(agent, parameters, arguments.stock),
            lambda: DreamPlay(agent, run, parameters, temperature),
            arguments.dream, arguments.seed, max_steps,
        )  # fmt: skip
        window.run(game, arguments.episodes)
        for seed, dreamed, score in game.scores:
            print(f"{'dream' if dreamed else spec.episode_noun} {seed}: {score:.1f}")
        return

    if arguments.dream:
        _dream(arguments, agent, run, parameters, which, jobs, max_steps, temperature)
        return

    drive = (agent, parameters, jobs, arguments.stock, max_steps)
    outcomes = outcomes_of_agent = evaluate.score(*drive, Progress("agent", "episodes"))
    name = "the unmodified environment" if arguments.stock else spec.env_id
    report = _report(run, which, name) | {"agent": _summary(jobs, outcomes)}
    _say("agent", report["agent"], spec.episode_noun)
    if arguments.random:
        explore = spec.explorations[spec.baseline_policy]
        outcomes = evaluate.score_exploration(
            spec, explore, jobs, arguments.stock, max_steps, Progress("random policy", "episodes")
        )
        report["random"] = _summary(jobs, outcomes)
        _say("random policy", report["random"], spec.episode_noun)
    if arguments.json:
        write_json(arguments.json, report)
        print(f"scores in {arguments.json}")
    if arguments.film:
        median = _median(outcomes_of_agent)
        moments = evaluate.film(*drive, Progress("film", "episodes"), median)
        frames = [compose(moment, spec.action_names) for moment in moments]
        save_film(frames, arguments.film, spec.steps_per_second / STEPS_PER_FRAME)
        filmed, total = f"{spec.episode_noun} {jobs[median].env_seed}", moments[-1].score
        print(f"film of {filmed}, {len(frames)} frames, score {total:.1f}: {arguments.film}")


def _dream(arguments, agent, run, parameters, which, jobs, max_steps, temperature) -> None:
    """Scores the agent in its dream, and films it there."""
    from utils.dreams.evaluator import Dreams
    from utils.figures.film import STEPS_PER_FRAME, compose, save_film
    from utils.play.game import DreamPlay, Game

    dreams = Dreams(agent, run)
    dreams.temperature = temperature
    outcomes = dreams.play(parameters[None], jobs, max_steps)
    name = f"dream at temperature {temperature:g}"
    report = _report(run, which, name) | {"agent": _summary(jobs, outcomes)}
    _say("agent", report["agent"], "dream")
    if arguments.json:
        write_json(arguments.json, report)
        print(f"scores in {arguments.json}")
    if arguments.film:
        seed = jobs[_median(outcomes)].env_seed
        game = Game(lambda: None, lambda: DreamPlay(agent, run, parameters, temperature), True, seed, max_steps)
        moments = []
        while not game.scores:
            moment, _ = game.step(np.zeros(agent.spec.action_size, np.float32))
            moments.append(moment)
        frames = [compose(moment, agent.spec.action_names) for moment in moments[::STEPS_PER_FRAME]]
        save_film(frames, arguments.film, agent.spec.steps_per_second / STEPS_PER_FRAME)
        print(f"film of dream {seed}, {len(frames)} frames, score {moments[-1].score:.1f}: {arguments.film}")


def _report(run, which: str, environment: str) -> dict:
    """What --json says before the scores."""
    versions = {"gymnasium": metadata.version("gymnasium")}  # it holds CarRacing's rule
    return {"run": str(run.path), "controller": which, "environment": environment} | versions


def _median(outcomes) -> int:
    """The episode with the median score."""
    scores = [outcome.score for outcome in outcomes]
    return sorted(range(len(scores)), key=scores.__getitem__)[len(scores) // 2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder of a trained agent")
    parser.add_argument("--episodes", type=int, default=16, metavar="N", help="episodes to score (%(default)s)")
    parser.add_argument("--seed", type=int, default=1000, metavar="S", help="seed of the first episode (%(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="steps an episode has at most (the environment's limit)")
    parser.add_argument(
        "--film", type=user_path, metavar="FILE", help="film the episode with the median score: .gif, .webp or .mp4"
    )
    parser.add_argument("--window", action="store_true", help="show the episodes live, and play in them")
    parser.add_argument("--dream", action="store_true", help="in the dream of the run's M instead")
    parser.add_argument("--temperature", type=float, metavar="TAU", help="of the dream (controller_temperature)")
    parser.add_argument(
        "--stock", action="store_true", help="in the unmodified environment, with the pictures it draws itself"
    )
    parser.add_argument("--random", action="store_true", help="score a random policy on the same episodes as well")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="write every score to this file")
    arguments = parser.parse_args()
    for name in ("episodes", "steps"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1 is needed")
    if arguments.window and (arguments.film or arguments.json or arguments.random):
        raise UsageError("--window shows the agent live; give --film, --json and --random in a call of their own")
    if arguments.dream and (arguments.stock or arguments.random):
        raise UsageError("--dream: the dream has no --stock and no --random; score them in a call of their own")
    if arguments.temperature is not None and not (arguments.dream or arguments.window):
        raise UsageError("--temperature belongs to --dream")
    if arguments.temperature is not None and not 0 < arguments.temperature < math.inf:
        raise UsageError(f"--temperature {arguments.temperature:g}: must be a number above 0")
    if not 0 <= arguments.seed <= 2**31 - arguments.episodes:
        raise UsageError(f"--seed {arguments.seed}: 0 to 2^31, less the number of episodes, is what seeds can be")
    return arguments


def _summary(jobs, outcomes) -> dict:
    episodes = [
        {"seed": job.env_seed, "score": outcome.score, "steps": outcome.steps} for job, outcome in zip(jobs, outcomes)
    ]
    return statistics([outcome.score for outcome in outcomes]) | {"episodes": episodes}


def _say(who: str, summary: dict, where: str) -> None:
    print(
        f"{who} on {len(summary['episodes'])} {where}s: {summary['mean']:.1f} +- {summary['std']:.1f}, "
        f"from {summary['min']:.1f} to {summary['max']:.1f}"
    )


if __name__ == "__main__":
    cli.call(main)
