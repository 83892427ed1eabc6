"""What can be said of a later z without M: linear predictions, fitted on the episodes that M was trained on.

Two of them know what M is given last, one z drawn from V's (mu, logvar), and nothing else: not the frames before it,
nor the actions after it.

persistence   each dimension from itself: the last z, shrunk towards its mean (damped persistence). In a dimension
              that V does not use, z is noise, and this predicts its mean with its spread, which is the best that
              anybody can do. The last z itself, unchanged, would count that noise twice.
regression    each dimension from all of them: a linear regression with a bias.

The third one knows more than M, which never sees mu:

last_mu       V's mu of the last frame, unchanged.

Each is a normal distribution in each dimension, with the spread that its errors have in the training episodes. They
are fitted to all steps of all training episodes. V's draws are not made for it: their expectation is known, and added
to the moments of mu. It also keeps the regression well-posed where mu hardly varies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.run import episodes
from utils.run.episodes import Series

NAMES = ("persistence", "regression", "last_mu")


@dataclass
class LinearGaussian:
    """Predicts y, (n, z_size), as normal with the mean x @ weights + bias. weights: (z_size, z_size); bias and
    variance: (z_size,)."""

    weights: np.ndarray
    bias: np.ndarray
    variance: np.ndarray

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Of x, (n, z_size)."""
        return x @ self.weights + self.bias

    def nll(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of y, in nats, (n, z_size)."""
        return 0.5 * (np.log(2 * np.pi * self.variance) + np.square(y - self.mean(x)) / self.variance)


def fit(paths: Sequence[Path], horizons: Sequence[int], first: int) -> dict[int, dict[str, LinearGaussian]]:
    """For each horizon the baselines of NAMES, from the series `paths`, read once.

    first: the step from which on an episode is looked at, as in the windows. A horizon that no episode reaches is
    left out.
    """
    moments = {horizon: _Moments() for horizon in horizons}
    for path in paths:
        series = episodes.load(path, Series, only=("mu", "logvar"))
        mu, variance = np.float64(series.mu[first:]), np.exp(np.float64(series.logvar[first:]))
        for horizon, so_far in moments.items():
            if len(mu) > horizon:
                so_far.add(mu[:-horizon], mu[horizon:], variance[:-horizon], variance[horizon:])
    return {horizon: so_far.baselines() for horizon, so_far in moments.items() if so_far.count}


class _Moments:
    """Sums over pairs of steps: x is mu of the earlier one, y of the later one, each with the variance of V's draw."""

    def __init__(self):
        self.count = 0
        self._x = self._y = self._xx = self._xy = self._yy = self._x_noise = self._y_noise = 0.0

    def add(self, x, y, x_noise, y_noise) -> None:
        """float64 (n, z_size) each."""
        self.count += len(x)
        self._x += x.sum(axis=0)
        self._y += y.sum(axis=0)
        self._xx += x.T @ x
        self._xy += x.T @ y
        self._yy += np.square(y).sum(axis=0)
        self._x_noise += x_noise.sum(axis=0)
        self._y_noise += y_noise.sum(axis=0)

    def baselines(self) -> dict[str, LinearGaussian]:
        x, y, x_noise, y_noise = (total / self.count for total in (self._x, self._y, self._x_noise, self._y_noise))
        xx = self._xx / self.count - np.outer(x, x)
        xy = self._xy / self.count - np.outer(x, y)
        yy = self._yy / self.count - np.square(y)
        drawn_xx, drawn_yy = xx + np.diag(x_noise), yy + y_noise  # the draws of two steps are independent

        def fitted(weights: np.ndarray) -> LinearGaussian:
            """With least-squares weights, what is left is drawn_yy less what they explain."""
            return LinearGaussian(weights, y - x @ weights, drawn_yy - (weights * xy).sum(axis=0))

        change = np.square(y - x) + yy + np.diag(xx) - 2 * np.diag(xy)
        persistence = fitted(np.diag(np.diag(xy) / np.diag(drawn_xx)))
        regression = fitted(np.linalg.solve(drawn_xx, xy))
        last_mu = LinearGaussian(np.eye(len(x)), np.zeros_like(x), change + y_noise)
        return dict(zip(NAMES, (persistence, regression, last_mu)))
