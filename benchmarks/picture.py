"""How much does our directly drawn observation differ from stock's?

    python -m benchmarks.picture

Drives tracks 0 to 19 in both environments. Compares every tenth picture, every picture of the opening zoom, and the
part of the picture with the car.
"""

import numpy as np

from benchmarks.report import announce, command, store, with_store
from utils.environments import get_spec
from utils.environments.car_racing.reference import StockSometimesDrawn, drive
from utils.run import cli

TRACKS, STEPS, OPENING = 20, 1000, 50
CAR = (slice(50, 60), slice(29, 35))  # rows and columns


def main() -> None:
    arguments = with_store(command("picture", __doc__)).parse_args()
    announce(arguments)
    ours, theirs = get_spec("WorldModels/CarRacing-v3").make(), StockSometimesDrawn()
    rows = {"driving": [], "opening zoom": [], "the car's window": []}
    for track in range(TRACKS):
        rng = np.random.default_rng(track)
        obs, _ = ours.reset(seed=track)
        theirs.reset(seed=track)
        for step in range(STEPS):
            if step < OPENING or step % 10 == 0:
                difference = np.abs(obs.astype(int) - theirs.picture())
                errors = difference.mean(), (difference.max(axis=-1) > 32).mean()
                rows["opening zoom" if step < OPENING else "driving"].append(errors)
                if step >= OPENING:
                    rows["the car's window"].append(
                        (difference[CAR].mean(), (difference[CAR].max(axis=-1) > 32).mean())
                    )
            action = drive(theirs, rng)
            obs, _, terminated, truncated, _ = ours.step(action)
            theirs.step(action)
            if terminated or truncated:
                break
    table = {}
    for name, errors in rows.items():
        error, far = np.mean(errors, axis=0)
        table[name] = {"pictures": len(errors), "mean_error": round(float(error), 3), "far_off": round(float(far), 5)}
        print(
            f"{name:18}{len(errors):6} pictures, mean error {error:.2f} of 255, {far:.2%} of pixels off by more than 32"
        )
    store(arguments, "picture", {"tracks": TRACKS, "rows": table})


if __name__ == "__main__":
    cli.call(main)
