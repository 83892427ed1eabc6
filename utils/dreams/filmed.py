"""A film of dreams: many at once, and the frames of the one with the median score."""

import numpy as np

from utils.agent.agent import Agent
from utils.agent.evaluate import STEPS_PER_FRAME, Frame, median
from utils.dreams.batch import DreamBatch
from utils.run.folder import RunFolder

AT_MOST = 64  # dreams among which the median one is found


def record_median(
    agent: Agent, run: RunFolder, parameters: np.ndarray, temperature: float, seeds: list[int], max_steps: int
) -> tuple[int, list[Frame]]:
    """The seed of the dream with the median score among the first AT_MOST, and every STEPS_PER_FRAME'th step of it.

    The score is that of the film itself: a dream of the same seed in another batch is rounded otherwise, and may take
    another course.

    parameters: C's, float32 (num_parameters,).
    """
    seeds = seeds[:AT_MOST]
    dreams = DreamBatch(run, len(seeds), temperature)
    for index, seed in enumerate(seeds):
        dreams.begin(index, seed)
    alive = np.ones(len(seeds), bool)
    steps: list[tuple[np.ndarray, ...]] = []
    while alive.any() and len(steps) < max_steps:
        z = np.array(dreams.z)
        action = agent.controller.act(parameters[None], dreams.features()[None]).numpy()[0]
        rewards, done = dreams.step(action)
        steps.append((z, action, np.where(alive, rewards, 0), alive))
        alive = alive & ~done
    z, actions, rewards, lived = map(np.stack, zip(*steps))
    scores = rewards.cumsum(axis=0)
    chosen = median(scores[-1])
    length = int(lived[:, chosen].sum())
    shown = [*range(0, length - 1, STEPS_PER_FRAME), length - 1]
    pictures = agent.codec.decode(z[shown, chosen])
    return seeds[chosen], [
        Frame(
            picture, None, picture, actions[t, chosen], float(rewards[t, chosen]), float(scores[t, chosen]), t + 1,
            f"dream, temperature {temperature:.2f}\nthe agent acts",
        )
        for t, picture in zip(shown, pictures)
    ]  # fmt: skip
