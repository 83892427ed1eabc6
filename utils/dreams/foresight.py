"""What does C read of the danger? How well a linear function of z and of h, as C is one, foretells a death.

If M's h does not know of a fireball, or z is too noisy to show it, then no C can dodge it.
"""

import numpy as np

from utils.dreams.ends import Reading

HORIZONS = (1, 10, 25, 50)  # steps within which death comes
EPISODES = 400  # at most, so that copies of h of all steps fit into memory
PENALTY = 1000.0  # of the squared weights, of standardised features: h has hundreds of numbers
FOLDS = 4


def foresight_table(readings: list[Reading]) -> list[dict[str, float]]:
    """Area under the ROC curve by horizon, of "death comes within so many steps": 0.5 is chance, 1 is certainty.

    A row for each horizon, a column for each of: z as C reads it, mu, h, and z with h. The linear functions are fitted
    on three quarters of the episodes and scored on the others, in turn; a score is the mean of all four.
    """
    readings = readings[:EPISODES]
    z, mu, left = (np.concatenate([getattr(one, name) for one in readings]) for name in ("z", "mu", "left"))
    # C acts before M reads the step.
    h = np.concatenate([np.concatenate([np.zeros_like(one.h[:1]), one.h[:-1]]) for one in readings])
    features = {"z": z, "mu": mu, "h": h, "z and h": np.concatenate([z, h], axis=1)}
    episode = np.repeat(np.arange(len(readings)), [len(one.left) for one in readings])
    rows = []
    for horizon in HORIZONS:
        dies = left < horizon
        if dies.any() and not dies.all():
            scores = {name: round(_score(x, dies, episode), 4) for name, x in features.items()}
            rows.append({"within": horizon, "steps": int(dies.sum()), **scores})
    return rows


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
