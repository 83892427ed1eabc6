"""What does C read of the danger? How well a linear function of z and of h, as C is one, foretells a death.

If M's h does not know of a fireball, or z is too noisy to show it, then no C can dodge it.
"""

import numpy as np
import tensorflow as tf

from models.vae import sample_z
from utils.agent.agent import Agent
from utils.run.episodes import Series

HORIZONS = (1, 10, 25, 50)  # steps within which death comes
EPISODES = 400  # at most, so that h of all steps fits into memory
PENALTY = 1000.0  # of the squared weights, of standardised features: h has hundreds of numbers
FOLDS = 4


def foresight_table(agent: Agent, series: list[Series]) -> list[dict[str, float]]:
    """Area under the ROC curve by horizon, of "death comes within so many steps": 0.5 is chance, 1 is certainty.

    A row for each horizon, a column for each of: z as C reads it, mu, h, and z with h. The linear functions are fitted
    on three quarters of the episodes and scored on the others, in turn; a score is the mean of all four.
    """
    series = series[:EPISODES]
    features, left, episode = _read(agent, series)
    rows = []
    for horizon in HORIZONS:
        dies = left < horizon
        if dies.any() and not dies.all():
            scores = {name: round(_score(x, dies, episode), 4) for name, x in features.items()}
            rows.append({"within": horizon, "steps": int(dies.sum()), **scores})
    return rows


def _read(agent: Agent, series: list[Series]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """At each step what C reads, (steps, numbers), the steps to death (infinite if none came), and the episode."""
    rng, rnn = np.random.default_rng(0), agent.rnn

    @tf.function(autograph=False, reduce_retracing=True)
    def hidden(z: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        return rnn.hidden(rnn.inputs(z, action, tf.zeros(tf.shape(z)[:2])))

    zs, hs, left = [], [], []
    for one in series:
        z = sample_z(one.mu, one.logvar, rng.standard_normal(one.mu.shape, np.float32)).numpy()
        h = hidden(z[None], np.asarray(one.action, np.float32)[None])[0].numpy()
        zs.append(z)
        hs.append(np.concatenate([np.zeros_like(h[:1]), h[:-1]]))  # C acts before M reads this step
        steps = np.arange(len(z))[::-1].astype(float)
        left.append(steps if one.done[-1] else np.full(len(z), np.inf))
    episode = np.repeat(np.arange(len(series)), [len(z) for z in zs])
    z, h, mu = np.concatenate(zs), np.concatenate(hs), np.concatenate([one.mu for one in series])
    return {"z": z, "mu": mu, "h": h, "z and h": np.concatenate([z, h], axis=1)}, np.concatenate(left), episode


def _score(features: np.ndarray, dies: np.ndarray, episode: np.ndarray) -> float:
    """The mean area under the ROC curve in held-out quarters of the episodes."""
    x = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    areas = []
    for fold in range(FOLDS):
        held_out = episode % FOLDS == fold
        seen, y = x[~held_out], dies[~held_out] - dies[~held_out].mean()
        weights = np.linalg.solve(seen.T @ seen + PENALTY * np.eye(x.shape[1]), seen.T @ y)
        if 0 < dies[held_out].sum() < held_out.sum():
            areas.append(area_under_roc(x[held_out] @ weights, dies[held_out]))
    return float(np.mean(areas)) if areas else float("nan")


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive scores above a negative; a tie counts half. (n,) each."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    count = positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count)))
