"""How good M's open-loop predictions are at each horizon, beside predictions without M: `RUN/dream/quality.csv`."""

import math

import numpy as np

from utils.dreams import baselines
from utils.dreams.baselines import LinearGaussian
from utils.dreams.open_loop import HORIZONS, SAMPLES, Windows


def table(windows: Windows, fitted: dict[int, dict[str, LinearGaussian]] | None = None) -> list[dict[str, float]]:
    """A row for each horizon, over all windows that reach it and all dimensions of z. NaN where no window does.

    fitted: from `baselines.fit`. Without it the columns of the baselines are left out.

    nll: of the real z under the dreams, nats a dimension. SAMPLES dreams overestimate it a little.
    rmse: root mean squared error of the mean of the dreams. The error that comes from the number of dreams, a
        SAMPLES'th of their variance, is subtracted.
    rmse_perfect: the error of the best possible prediction, V's mu of the predicted frame itself.
    nll_NAME, rmse_NAME: of each baseline.
    signal_true, signal_predicted, signal_acted: mean sum of rewards (or ends) up to the horizon: real, predicted, and
        predicted while the controller acts.
    signal_correlation: of the first two, over the windows.
    """
    return [_row(windows, steps, fitted) for steps in HORIZONS if steps < windows.real.shape[1]]


def _row(windows: Windows, steps: int, fitted: dict[int, dict[str, LinearGaussian]] | None) -> dict[str, float]:
    real, last, dreamed = windows.real[:, steps], windows.real[:, 0], windows.dreamed[:, :, steps]
    sampling_error = dreamed.var(axis=1, ddof=1) / SAMPLES
    squared_error = _mean(np.square(real - dreamed.mean(axis=1)) - sampling_error)
    nll = {"nll": _mean(windows.nll[:, steps - 1])}
    rmse = {"rmse": math.sqrt(max(squared_error, 0.0))}
    for name in baselines.NAMES if fitted is not None else ():
        known = windows.last_mu if name == "last_mu" else last
        nll[f"nll_{name}"] = rmse[f"rmse_{name}"] = math.nan
        if fitted and steps in fitted:
            baseline = fitted[steps][name]
            nll[f"nll_{name}"] = _mean(baseline.nll(known, real))
            rmse[f"rmse_{name}"] = math.sqrt(_mean(np.square(real - baseline.mean(known))))
    rmse["rmse_perfect"] = math.sqrt(_mean(np.square(windows.spread[:, steps])))
    true, predicted = windows.reward_or_done[:, :steps].sum(axis=1), windows.predicted[:, :steps].sum(axis=1)
    signal = {
        "signal_true": true.mean(),
        "signal_predicted": predicted.mean(),
        "signal_correlation": np.corrcoef(true, predicted)[0, 1] if true.std() > 0 else np.nan,
    }
    if windows.on_policy is not None:
        signal["signal_acted"] = windows.on_policy[:, :steps].sum(axis=1).mean()
    return {"steps": steps} | {name: float(value) for name, value in (nll | rmse | signal).items()}


# A column of `table`, its heading, the width and the digits of its numbers.
_COLUMNS = (
    ("steps", "steps", "5.0f"),
    ("nll", "NLL M", "8.2f"),
    ("nll_persistence", "persistence", "12.2f"),
    ("nll_regression", "regression", "11.2f"),
    ("nll_last_mu", "last mu", "8.2f"),
    ("rmse", "RMSE M", "9.3f"),
    ("rmse_persistence", "persistence", "12.3f"),
    ("rmse_regression", "regression", "11.3f"),
    ("rmse_last_mu", "last mu", "8.3f"),
    ("rmse_perfect", "perfect", "8.3f"),
    ("signal_true", "{predicts} true", "13.2f"),
    ("signal_predicted", "dreamed", "9.2f"),
    ("signal_correlation", "correlation", "12.2f"),
    ("signal_acted", "C acts in the dream", "20.2f"),
)
_LEGEND = """\
M: {samples} dreams of each window. NLL in nats. All columns: per dimension of z
persistence: each dimension of the last z, shrunk towards its mean. regression: linear in the whole last z. Both are
  fitted on {training} training episodes. They know the last z only: nothing earlier, and no actions
last mu: V's mu of the last frame, unchanged, with the spread of the training episodes. M never reads mu
perfect: V's mu of the predicted frame itself. No prediction of a drawn z can be better"""


def text(rows: list[dict[str, float]], predicts: str, training: int) -> str:
    """`table` for people.

    training: the number of episodes that the baselines were fitted on.
    """
    columns = [column for column in _COLUMNS if column[0] in rows[0]]
    word = "reward" if predicts == "reward" else "end"
    heads = [f"{head.format(predicts=word):>{form.split('.')[0]}}" for _, head, form in columns]
    lines = ["".join(heads), *("".join(f"{row[name]:{form}}" for name, _, form in columns) for row in rows)]
    legend = _LEGEND.format(samples=SAMPLES, training=training).splitlines()
    if "nll_regression" not in rows[0]:
        legend = [line for line in legend if line.startswith(("M:", "perfect:"))]
    return "\n".join([*lines, *legend])


def _mean(values: np.ndarray) -> float:
    """Of all but NaN. NaN if there is nothing else."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
