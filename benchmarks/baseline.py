"""How does a random policy score? Plays many episodes with the baseline of trained agents, or another exploration.

    python -m benchmarks.baseline WorldModels/TakeCover-v0 --episodes 500

--store writes benchmarks/results/baseline_NAME_POLICY.json, with every score.
"""

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.environments import get_spec
from utils.run import cli
from utils.run.summaries import statistics
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.progress import Progress


def main() -> None:
    parser = with_store(command("baseline", __doc__))
    parser.add_argument("env_name", metavar="ENV", help="such as WorldModels/CarRacing-v3")
    parser.add_argument("--policy", metavar="NAME", help="one of its explorations (its baseline)")
    parser.add_argument("--episodes", type=at_least_1, default=500, metavar="N", help="from seed 1000 on (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    compute.start_tensorflow()
    from utils.agent.evaluate import FIRST_EVALUATION_SEED, evaluation_jobs, score_exploration

    spec = get_spec(arguments.env_name)
    policy = arguments.policy or spec.baseline_policy
    if policy not in spec.explorations:
        raise UsageError(f"--policy {policy}: there are {', '.join(spec.explorations)}")
    jobs = evaluation_jobs(FIRST_EVALUATION_SEED, arguments.episodes)
    progress = Progress("random policy", "episodes")
    explore = spec.explorations[policy]
    outcomes = score_exploration(spec, explore, jobs, False, spec.max_steps, progress)
    scores = [outcome.score for outcome in outcomes]
    found = statistics(scores)
    shown = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
    print(f"{policy} in {arguments.env_name}, {len(scores)} episodes: {shown}")
    name = spec.env_id.split("/")[-1].split("-")[0].lower()
    results = {key: round(value, 3) for key, value in found.items()}
    store(arguments, f"baseline_{name}_{policy}", results | {"scores": [round(score, 3) for score in scores]})


if __name__ == "__main__":
    cli.call(main)
