"""How well do random policies explore CarRacing? `wander` was chosen by this table.

    python -m benchmarks.exploration

Each kind plays 24 episodes of 300 frames (tracks 0 to 23). `uniform`, `blind` and `wander` are in
`utils/environments/car_racing/exploration.py`. The other kinds are here for comparison only.
"""

import numpy as np

from benchmarks.report import announce, command, store, with_store
from utils.environments import get_spec
from utils.environments.car_racing.exploration import EXPLORATIONS
from utils.run import cli

EPISODES, FRAMES = 24, 300


def held(rng, braking: float):
    action, hold = None, 0

    def act(obs):
        nonlocal action, hold
        if hold == 0:
            hold = int(rng.integers(5, 25))
            action = np.float32([rng.uniform(-1, 1), rng.uniform(), rng.uniform() * (rng.random() < braking)])
        hold -= 1
        return action

    return act


def ornstein_uhlenbeck(rng, pull=0.1, spread=0.35):
    start, steer, gas = int(rng.integers(20, 60)), 0.0, 0.5

    def act(obs):
        nonlocal start, steer, gas
        start -= 1
        if start >= 0:
            return np.float32([0, 0.8, 0])
        steer += -pull * steer + spread * np.sqrt(2 * pull) * rng.normal()
        gas += -0.05 * (gas - 0.4) + 0.1 * rng.normal()
        return np.float32([np.clip(steer, -1, 1), np.clip(gas, 0, 1), 0.6 * (gas < 0)])

    return act


def weaving(rng):
    """Turns to one side and then for as long to the other, so that the car goes straight on average."""
    start, plan = int(rng.integers(20, 60)), []

    def act(obs):
        nonlocal start
        start -= 1
        if start >= 0:
            return np.float32([0, 0.8, 0])
        if not plan:
            steps, turn, gas = int(rng.integers(5, 25)), rng.normal(0, 0.5), rng.uniform(0, 0.8)
            brake = rng.uniform(0.1, 0.8) if rng.random() < 0.2 else 0.0
            for side in (1, -1):
                plan.extend([np.float32([np.clip(side * turn, -1, 1), gas * (brake == 0), brake])] * steps)
        return plan.pop(0)

    return act


KINDS = {
    "uniform, new at each step": EXPLORATIONS["uniform"],
    "uniform, held 5 to 24 steps": lambda rng: held(rng, 1.0),
    "the same, seldom braking": lambda rng: held(rng, 0.15),
    "Ornstein-Uhlenbeck, pushing off": ornstein_uhlenbeck,
    "weaving, pushing off": weaving,
    "restless, pushing off: blind": EXPLORATIONS["blind"],
    "drawn to grey ahead: wander": EXPLORATIONS["wander"],
}


def measure(make) -> dict[str, float]:
    env = get_spec("WorldModels/CarRacing-v3").make()
    speed, steer, on_road, in_view, returns, tiles = [], [], [], [], 0, []
    for episode in range(EPISODES):
        explorer = make(np.random.default_rng(episode))
        obs, was_on = env.reset(seed=episode)[0], True
        for _ in range(FRAMES):
            action = explorer(obs)
            obs, _, terminated, _, _ = env.step(action)
            car = env.unwrapped.car
            on = any(wheel.tiles for wheel in car.wheels)
            returns += on and not was_on
            was_on = on
            grey = (np.ptp(obs.astype(int), axis=-1) < 6) & (obs[..., 0] > 80)
            speed.append(np.hypot(*car.hull.linearVelocity))
            steer.append(action[0])
            on_road.append(on)
            in_view.append(grey.mean() > 0.03)
            if terminated:
                break
        tiles.append(env.unwrapped.tile_visited_count)
    return {
        "speed": np.mean(speed), "speed_p90": np.percentile(speed, 90), "steer_std": np.std(steer),
        "on_road": np.mean(on_road), "road_in_view": np.mean(in_view), "returns": returns / EPISODES,
        "tiles": np.mean(tiles),
    }  # fmt: skip


def main() -> None:
    arguments = with_store(command("exploration", __doc__)).parse_args()
    announce(arguments)
    rows = {name: {key: round(float(v), 2) for key, v in measure(make).items()} for name, make in KINDS.items()}
    print(f"{'kind':34}" + "".join(f"{key:>14}" for key in next(iter(rows.values()))))
    for name, row in rows.items():
        print(f"{name:34}" + "".join(f"{value:14.2f}" for value in row.values()))
    store(arguments, "exploration", {"episodes": EPISODES, "frames": FRAMES, "kinds": rows})


if __name__ == "__main__":
    cli.call(main)
