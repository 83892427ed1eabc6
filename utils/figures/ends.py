"""What M expects of the end, and how long lives are: `study_dream.py ends`."""

from pathlib import Path

import numpy as np

from models.mdn_rnn import DREAM_ENDS_ABOVE
from utils.figures.style import IN_THE_DREAM, OUTSIDE, figure, save

SHOWN = 60  # steps before death


def save_ends(
    probability: np.ndarray, left: np.ndarray, calibration: list[dict], lives: list[dict], foresight: list[dict],
    title: str, path: Path,
) -> None:  # fmt: skip
    """probability, left: of held-out steps, as `utils.dreams.ends.Expected`. The tables are from there as well.

    foresight: of `utils.dreams.foresight`.
    """
    drawn, ((before, reliable), (lived, warned)) = figure(11, 8, 2, 2)
    steps = [step for step in range(SHOWN + 1) if (left == step).any()]
    quantiles = np.array([np.quantile(probability[left == step], (0.1, 0.5, 0.9)) for step in steps]).reshape(-1, 3)
    before.fill_between(steps, quantiles[:, 0], quantiles[:, 2], color=OUTSIDE, alpha=0.2, label="10 to 90 % of games")
    before.plot(steps, quantiles[:, 1], color=OUTSIDE, label="median")
    before.axhline(DREAM_ENDS_ABOVE, color="black", lw=0.8, ls=":", label="a dream ends above")
    before.set(yscale="log", xlabel="steps before death", ylabel="P(done) that M expects", title="held-out games")
    before.invert_xaxis()
    before.legend(fontsize=8)

    expected, died = ([row[name] for row in calibration] for name in ("expected", "died"))
    reliable.plot([1e-5, 1], [1e-5, 1], color="black", lw=0.8, ls=":")
    reliable.plot(expected, died, "o-", color=OUTSIDE)
    reliable.set(xscale="log", yscale="log", xlabel="P(done) that M expects", ylabel="how often death followed")
    reliable.set_title("is it so?")

    temperatures = [name.removesuffix("_mean") for name in lives[0] if name.startswith("dream") and "mean" in name]
    bars = ["real", *temperatures]
    for index, where in enumerate(bars):
        places = np.arange(len(lives)) + (index - (len(bars) - 1) / 2) * 0.8 / len(bars)
        means, stds = ([row[f"{where}_{what}"] for row in lives] for what in ("mean", "std"))
        label = "in the game" if where == "real" else f"in dreams at {where.removeprefix('dream_')}"
        color, alpha = (OUTSIDE, 1.0) if where == "real" else (IN_THE_DREAM, 1 - 0.45 * (index - 1))
        lived.bar(places, means, 0.8 / len(bars), yerr=stds, color=color, alpha=alpha, label=label, ecolor="grey")
    lived.set_xticks(range(len(lives)), [row["policy"] for row in lives])
    lived.set(ylabel="steps lived, mean +- std", title="how long each policy lives")
    lived.legend(fontsize=8)

    horizons = [row["within"] for row in foresight]
    for name in list(foresight[0])[2:] if foresight else ():  # the columns after `within` and `steps`
        scores = [row[name] for row in foresight]
        warned.plot(horizons, scores, "o-", label=name)
    warned.set(xlabel="N", ylabel="area under the ROC curve", ylim=(0.45, 1))
    warned.set_title("a linear prediction that C dies within N steps, from")
    warned.axhline(0.5, color="black", lw=0.8, ls=":", label="guessing")
    warned.legend(fontsize=8)
    drawn.suptitle(title)
    save(drawn, path)
