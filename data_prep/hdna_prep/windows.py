"""Cuts the stretches of a split into windows, and decides which are dropped.

A stretch [s, e) is cut at stride W into [s + iW, min(s + (i + 1)W + 1, e)): neighbours share one base, so that each
transition between bases is predicted exactly once. A remainder of fewer than two bases makes no window.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hdna.genome.interval import Interval
from hdna_prep.splits import Stores, Stretch

DROP_RULE = "more than half of the window is not A, C, G or T"


@dataclass(frozen=True)
class Window:
    """An interval that becomes one sample."""

    number: int
    """Numbered over all windows of the set, including dropped ones."""
    assembly: str
    contig: str
    start: int
    end: int
    split: str
    distinct: int
    """Bases, not counting one shared with the next kept window."""

    @property
    def interval(self) -> Interval:
        """Its interval on the assembly."""
        return Interval(self.contig, self.start, self.end)


def cut(stretches: Iterable[Stretch], window: int) -> list[Window]:
    """The windows of disjoint stretches, numbered in the order given. `window` is the stride, in bases."""
    windows: list[Window] = []
    for stretch in stretches:
        for start in range(stretch.start, stretch.end - 1, window):
            end = min(start + window + 1, stretch.end)
            distinct = end - start
            windows.append(Window(len(windows), stretch.assembly, stretch.contig, start, end, stretch.split, distinct))
    return windows


def keep_known(windows: Iterable[Window], stores: Stores) -> list[Window]:
    """The windows that are at least half A, C, G or T, with their distinct bases counted."""
    kept: list[Window] = []
    for window in windows:
        if 2 * stores[window.assembly].count_unknown(window.interval) <= window.end - window.start:
            kept.append(window)
    return _with_distinct(kept)


def _with_distinct(windows: list[Window]) -> list[Window]:
    """Count a base shared by two neighbouring windows in the second."""
    counted: list[Window] = []
    for window, following in zip(windows, [*windows, None][1:], strict=True):
        shares = following is not None and _lane(window) == _lane(following) and following.start == window.end - 1
        counted.append(replace(window, distinct=window.end - window.start - int(shares)))
    return counted


def _lane(window: Window) -> tuple[str, str, str]:
    return window.assembly, window.contig, window.split
