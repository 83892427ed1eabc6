"""Which of ViZDoom's screen sizes is small enough, and still shows fireballs at 64x64?

    python -m benchmarks.screens

Plays the same games on each screen and counts the pixels of fireballs at 64x64. --store also writes
benchmarks/results/screens.png, which shows the observations side by side.
"""

import time

import numpy as np

from benchmarks.report import RESULTS, announce, command, store, with_store
from utils.agent.rollouts import ExplorationPolicy, Job, Recorder, rollout_episodes
from utils.environments import get_spec
from utils.environments.take_cover import MAX_STEPS, TakeCover
from utils.figures.style import Sheet, save
from utils.run import cli

SCREENS = ("RES_160X120", "RES_200X150", "RES_320X240", "RES_640X480")
GAMES, SHOWN, SIDE, ROW_TITLE = 20, 8, 128, 70


def main() -> None:
    arguments = with_store(command("screens", __doc__)).parse_args()
    announce(arguments)
    table, pictures = {}, {}
    for screen in SCREENS:
        pictures[screen], seconds = _play(screen)
        fireballs = _fire(pictures[screen])
        table[screen] = {
            "steps": len(pictures[screen]),
            "steps_per_second": round(len(pictures[screen]) / seconds),  # on two cores, one of them for the game
            "pictures_with_fireballs": round(float((fireballs > 0).mean()), 4),
            "pixels_of_fireballs": round(float(fireballs.mean()), 3),
        }
        print(f"{screen:12}", *(f"{name} {value:<8}" for name, value in table[screen].items()))
    store(arguments, "screens", {"games": GAMES, "screens": table})
    if arguments.store:
        _save(pictures)


def _play(screen: str) -> tuple[np.ndarray, float]:
    """All observations of the games, uint8 (steps, 64, 64, 3), and the seconds that they took."""
    env, seen = TakeCover(screen=screen), []
    policy = ExplorationPolicy(get_spec("WorldModels/TakeCover-v0").explorations["held"], 1)
    rollout_episodes([env], policy, [Job(0, 0)], 20)  # starts the game
    recorder = Recorder(lambda _, rollout: seen.append(rollout.obs))
    began = time.perf_counter()
    rollout_episodes([env], policy, [Job(seed, seed) for seed in range(GAMES)], MAX_STEPS, [recorder])
    seconds = time.perf_counter() - began
    env.close()
    return np.concatenate(seen), seconds


def _fire(obs: np.ndarray) -> np.ndarray:
    """The number of pixels with the bright yellow of fireballs in each picture, (steps,)."""
    red, green, blue = np.moveaxis(obs.astype(int), -1, 0)
    return ((red > 180) & (green > 150) & (red > blue + 40)).sum(axis=(1, 2))


def _save(pictures: dict[str, np.ndarray]) -> None:
    fireballs = _fire(pictures[SCREENS[-1]])
    chosen = np.flatnonzero(fireballs)[:: max(1, np.count_nonzero(fireballs) // SHOWN)][:SHOWN]
    spacing, left = SIDE + Sheet.GAP, Sheet.MARGIN + ROW_TITLE
    sheet = Sheet(
        left + SHOWN * spacing + Sheet.MARGIN, Sheet.TITLE + len(SCREENS) * spacing,
        "The same steps of the same games on ViZDoom's screens, at 64 x 64",
    )  # fmt: skip
    for row, screen in enumerate(SCREENS):
        y = Sheet.TITLE + row * spacing
        sheet.text(Sheet.MARGIN, y + SIDE // 2 - 8, screen.removeprefix("RES_").lower())
        for column, step in enumerate(chosen):
            sheet.paste(left + column * spacing, y, pictures[screen][step], SIDE)
    save(sheet, RESULTS / "screens.png")


if __name__ == "__main__":
    cli.call(main)
