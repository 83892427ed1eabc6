"""Forty frames of an episode, with actions and rewards."""

from pathlib import Path

import numpy as np

from utils.environments.spec import EnvironmentSpec
from utils.figures.style import Sheet, save
from utils.run.episodes import Rollout

COUNT, COLUMNS, SIDE, GAP = 40, 10, 128, 14
HELD = 10  # steps over which an action is averaged, so that a turn counts and a twitch does not


def save_frames(rollout: Rollout, spec: EnvironmentSpec, start: int | None, path: Path) -> None:
    """Forty frames of an episode from step `start` on, or by default where much happens. Chapter, figure 12-5."""
    obs, action, reward = rollout.obs, rollout.action, rollout.reward
    first = max(0, min(eventful(rollout) if start is None else start, len(obs) - COUNT))
    steps = range(first, min(first + COUNT, len(obs)))
    names = spec.action_names
    height = SIDE + 24 + 17 * len(names) + 12
    rows = -(-len(steps) // COLUMNS)
    title = (
        f"Frames {steps[0]} to {steps[-1]} of an episode, with the actions (bars from -1 to 1) and the rewards that "
        "followed (bars relative to the largest one here)"
    )
    sheet = Sheet(2 * Sheet.MARGIN + COLUMNS * (SIDE + GAP) - GAP, Sheet.TITLE + rows * height + Sheet.GAP, title)
    largest = max(abs(float(reward[t])) for t in steps) or 1.0
    for index, t in enumerate(steps):
        x = Sheet.MARGIN + index % COLUMNS * (SIDE + GAP)
        y = Sheet.TITLE + index // COLUMNS * height
        sheet.paste(x, y, obs[t], SIDE)
        sheet.label(x, y, str(t))
        y += SIDE + 3
        for name, value in zip(names, action[t]):
            sheet.text(x, y, name, 11)
            sheet.text(x + SIDE, y, _signed(value, 2), 11, anchor="ra")
            sheet.bar(x + 46, y + 5, 40, float(value))
            y += 17
        sheet.text(x, y, "reward", 11)
        sheet.text(x + SIDE, y, _signed(reward[t], 1), 11, anchor="ra")
        sheet.bar(x + 46, y + 5, 40, float(reward[t]) / largest)
    save(sheet, path)


def eventful(rollout: Rollout) -> int:
    """The first of COUNT steps with a turn, among those with nearly the most reward."""
    action, reward = rollout.action, rollout.reward
    if len(reward) <= COUNT:
        return 0
    gained = np.convolve(reward, np.ones(COUNT), "valid")
    turned = np.abs(np.convolve(action[:, 0], np.ones(HELD) / HELD, "same"))
    most = np.lib.stride_tricks.sliding_window_view(turned, COUNT).max(axis=1)
    return int(np.where(gained >= gained.min() + 0.8 * np.ptp(gained), most, -1.0).argmax())


def _signed(value: float, digits: int) -> str:
    """Without a sign if it is rounded to 0."""
    rounded = round(float(value), digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"
