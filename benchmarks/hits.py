"""Doom: how often does a hit kill? Health lost in each hit, which no frame shows.

    python -m benchmarks.hits --store

The agent runs to and fro without looking (`benchmarks.sweeps`), 75 steps a way. ViZDoom's HEALTH begins at 100.
"""

from collections import Counter

from benchmarks.report import announce, at_least_1, command, store, with_store
from benchmarks.sweeps import sweep
from utils.environments.take_cover import TakeCover
from utils.run import cli
from utils.system.progress import Progress

PACE = 75


def main() -> None:
    parser = with_store(command("hits", __doc__))
    parser.add_argument("--games", type=at_least_1, default=150, metavar="N", help="(%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    env, progress = TakeCover(), Progress("games", "games")
    import vizdoom  # TakeCover() says in a line if it is missing

    lost, before_death = Counter[int](), Counter[int]()
    progress.start(arguments.games)
    for seed in range(1000, 1000 + arguments.games):
        obs, _ = env.reset(seed=seed)
        act, health, over = sweep(PACE), 100, False
        while not over:
            obs, _, dead, timed_out, _ = env.step(act(obs))
            over = dead or timed_out
            now = health if over else int(env._game.get_game_variable(vizdoom.GameVariable.HEALTH))
            if now != health:
                lost[health - now] += 1
            health = now
        if dead:
            before_death[health] += 1
        progress.advance()
    progress.close()
    env.close()
    survived, deaths = sum(lost.values()), sum(before_death.values())
    print("hits survived, by the health that they cost", dict(sorted(lost.items())))
    print("deaths, by the health before", dict(sorted(before_death.items())))
    print(f"{(survived + deaths) / deaths:.2f} hits for each of {deaths} deaths")
    store(arguments, "hits", {
        "games": arguments.games, "survived_hits_by_health_lost": {str(k): n for k, n in sorted(lost.items())},
        "deaths_by_health_before": {str(k): n for k, n in sorted(before_death.items())},
    })  # fmt: skip


if __name__ == "__main__":
    cli.call(main)
