"""Progress: a bar on a terminal, otherwise a plain line now and then."""

import sys
import time

from tqdm import tqdm

PICTURE_SECONDS = 120.0  # between two drawings of the figures of a network that is training


def duration(seconds: float) -> str:
    """In words: 12 s, 3 min 20 s, 2 h 05 min."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


class Progress:
    """`start(total)`, `advance(n)`, `close()`. Counts in `unit`."""

    QUIET_INTERVAL = 30.0  # seconds between plain lines when the output is not a terminal
    FIRST_SECONDS, LONG = 10.0, 600.0  # after the first seconds, work that takes longer than LONG prints an estimate
    hidden = False  # --quiet

    def __init__(self, title: str, unit: str):
        self._title, self._unit = title, unit
        self._bar: tqdm | None = None
        self._terminal = sys.stderr.isatty() and not self.hidden

    def start(self, total: int, done: int = 0, at_once: int = 1) -> None:
        """at_once: how many are worked on at a time. The first of them say nothing of the rate of all."""
        self._total, self._done, self._first = total, done, done
        self._enough = max(1, min(at_once, total - done))  # to tell a rate
        self._began = self._said = time.monotonic()
        self._estimated = False
        if self._terminal:
            self._bar = tqdm(total=total, initial=done, desc=self._title, unit=f" {self._unit}", unit_scale=True)

    def advance(self, count: int = 1, **values: float) -> None:
        """values: shown beside the bar, such as a loss."""
        self._done += count
        now = time.monotonic()
        new = self._done - self._first
        if not self._estimated and new >= self._enough and now - self._began >= self.FIRST_SECONDS:
            self._estimated = True
            left = (self._total - self._done) * (now - self._began) / new
            if left > self.LONG:
                tqdm.write(f"{self._title}: about {duration(left)} left at the rate of the first seconds")
        if self._bar is not None:
            if values:
                self._bar.set_postfix(values, refresh=False)
            self._bar.update(count)
            return
        if now - self._said >= self.QUIET_INTERVAL:
            self._said = now
            rate = new / (now - self._began)
            shown = "".join(f", {name} {value:.4g}" for name, value in values.items())
            left = (self._total - self._done) / rate if rate else 0.0
            speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
            remaining = f"{duration(left)} left" if new >= self._enough else "no estimate yet"
            done = f"{self._title}: {self._done} of {self._total} {self._unit}"
            print(f"{done}, {speed}, {remaining}{shown}", flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
