"""How often a run is saved when its recipe leaves that open: derived from what its own saves cost.

A save that holds training up for C seconds, every W seconds, costs C / W of the time. A failure, one every M seconds on
average, costs the time since the newest checkpoint, W / 2 on average. Together that is least at W = sqrt(2 C M): Young
1974, doi:10.1145/361147.361115, and Daly 2006, doi:10.1016/j.future.2004.11.016, whose further terms change W by 4 % at
C = 60 s, and what is lost by less than a thousandth.
"""

import math
import time

from hdna.config import CheckpointConfig

FAILURE_EVERY_S = 3 * 3600.0
"""Assumed, and of a run, not of one machine. A run that fails more rarely loses little by it: C / W alone."""
SHORTEST_S = 60.0
"""A save of eight ranks is 28 requests to a bucket (`hdna plan`), and half of this, lost at a failure, 0.3 % of
FAILURE_EVERY_S."""


def best_interval_s(held_up_s: float, takes_s: float) -> float:
    """Seconds from save to save, if each holds training up for `held_up_s` and takes `takes_s` behind it.

    At least twice the latter, so that none waits for the one before.
    """
    return max(SHORTEST_S, 2 * takes_s, math.sqrt(2 * held_up_s * FAILURE_EVERY_S))


class SaveTimer:
    """Says after which steps a run is saved."""

    def __init__(self, settings: CheckpointConfig) -> None:
        self._settings = settings
        self._interval_s = SHORTEST_S  # until a save has been measured
        self._said_s = 0.0
        self._saved_at = time.monotonic()

    def is_due(self, step: int, evaluated: bool) -> bool:
        """Whether to save now. Of steps whose turn is near, an evaluated one is taken: its score is kept with it."""
        every, kept = self._settings.every_steps, self._settings.keep_every
        if every:
            return step % every == 0
        if kept and step % kept == 0:
            return True
        passed_s = time.monotonic() - self._saved_at
        return passed_s >= (self._interval_s / 2 if evaluated else self._interval_s)

    def begun(self) -> None:
        """A save begins."""
        self._saved_at = time.monotonic()

    def measured(self, held_up_s: float, takes_s: float) -> str | None:
        """Take what a save has cost; return a line about the interval that follows from it if it is another one."""
        if self._settings.every_steps:
            return None
        self._interval_s = best_interval_s(held_up_s, takes_s)
        if self._said_s / 2 < self._interval_s < self._said_s * 2:
            return None
        self._said_s = self._interval_s
        return (
            f"a save holds training up for {held_up_s:.2g} s and takes {takes_s:.2g} s behind it: one every "
            f"{self._interval_s:.0f} s from now on, which costs least if failures come every "
            f"{FAILURE_EVERY_S / 3600:g} h; checkpoint.every_steps=N sets it"
        )
