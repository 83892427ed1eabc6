"""Predictions of a later z without M: normal distributions with linear means, fitted on M's training episodes.

Two of them know what M reads last, one z drawn from V's (mu, logvar). They know no frame before it and no action.

persistence   each dimension from itself: the last z, shrunk towards its mean (damped persistence). Where V does not use
              a dimension, z is noise, and this predicts the mean and the spread of the noise, the best prediction there
              is. The unchanged last z would count that noise twice.
regression    each dimension from all of them: a linear regression with a bias.

The third one knows more than M, which never reads mu:

last_mu       V's mu of the last frame, unchanged.

Each has the spread of its errors in the training episodes. All steps of all training episodes are used. V's draws are
not made: their expectation is known, and is added to the moments of mu. This also keeps the regression well-posed where
mu hardly varies.
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
    """Predicts y from x, (n, z_size) each: normal with the mean x @ weights + bias."""

    weights: np.ndarray  # (z_size, z_size)
    bias: np.ndarray  # (z_size,)
    variance: np.ndarray  # (z_size,)

    def mean(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights + self.bias

    def nll(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Negative log-likelihood of y in nats, (n, z_size)."""
        return 0.5 * (np.log(2 * np.pi * self.variance) + np.square(y - self.mean(x)) / self.variance)


def fit(paths: Sequence[Path], horizons: Sequence[int], first: int) -> dict[int, dict[str, LinearGaussian]]:
    """The baselines of NAMES for each horizon that an episode reaches.

    paths: of series, which are read once.
    first: the first step that is used of an episode, as in the windows.
    """
    moments = {horizon: _Moments() for horizon in horizons}
    for path in paths:
        series = episodes.load(path, Series, only=("mu", "logvar"))
        mu, variance = series.mu[first:].astype(np.float64), np.exp(series.logvar[first:].astype(np.float64))
        for horizon, sums in moments.items():
            if len(mu) > horizon:
                sums.add(mu[:-horizon], mu[horizon:], variance[:-horizon], variance[horizon:])
    return {horizon: sums.baselines() for horizon, sums in moments.items() if sums.count}


class _Moments:
    """Sums over pairs of steps."""

    def __init__(self) -> None:
        self.count = 0
        self._x = self._y = self._xx = self._xy = self._yy = self._x_noise = self._y_noise = np.zeros(())

    def add(self, x: np.ndarray, y: np.ndarray, x_noise: np.ndarray, y_noise: np.ndarray) -> None:
        """x, y: mu of the earlier and the later step. x_noise, y_noise: variances of V's draws. float64 (n, z_size)."""
        self.count += len(x)
        self._x = self._x + x.sum(axis=0)
        self._y = self._y + y.sum(axis=0)
        self._xx = self._xx + x.T @ x
        self._xy = self._xy + x.T @ y
        self._yy = self._yy + np.square(y).sum(axis=0)
        self._x_noise = self._x_noise + x_noise.sum(axis=0)
        self._y_noise = self._y_noise + y_noise.sum(axis=0)

    def baselines(self) -> dict[str, LinearGaussian]:
        x, y, x_noise, y_noise = (total / self.count for total in (self._x, self._y, self._x_noise, self._y_noise))
        xx = self._xx / self.count - np.outer(x, x)
        xy = self._xy / self.count - np.outer(x, y)
        yy = self._yy / self.count - np.square(y)
        drawn_xx, drawn_yy = xx + np.diag(x_noise), yy + y_noise  # the draws of two steps are independent

        def fitted(weights: np.ndarray) -> LinearGaussian:
            """With least-squares weights, the variance is drawn_yy minus what they explain."""
            return LinearGaussian(weights, y - x @ weights, drawn_yy - (weights * xy).sum(axis=0))

        change = np.square(y - x) + yy + np.diag(xx) - 2 * np.diag(xy)
        persistence = fitted(np.diag(np.diag(xy) / np.diag(drawn_xx)))
        regression = fitted(np.linalg.solve(drawn_xx, xy))
        last_mu = LinearGaussian(np.eye(len(x)), np.zeros_like(x), change + y_noise)
        return dict(zip(NAMES, (persistence, regression, last_mu)))
