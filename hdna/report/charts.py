"""The figures of a page as data: curves over tokens, steps and hours of training.

plots.py draws them for a browser without scripts and for print, the page's scripts for every other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from hdna.report.numbers import number

Values = npt.NDArray[np.float64]
UNITS = ("tokens", "steps", "hours")
MAX_POINTS = 1000
"""A longer curve is drawn as means of consecutive points: more would exceed the screen's resolution."""
_SMOOTHED_OVER = 50
"""A smoothed curve is a running mean over this part of the run."""
_MAX_DRAWN = 1e30
"""A damaged file may hold any number, and matplotlib's own arithmetic overflows long before a float does."""


@dataclass(frozen=True)
class Along:
    """Where points lie, by each unit of the horizontal axis."""

    tokens: Values
    steps: Values
    hours: Values | None
    """In steps that count, since the first; None if some step has no time."""

    def taken(self, indices: npt.NDArray[np.int64]) -> "Along":
        """Some of the points."""
        hours = None if self.hours is None else self.hours[indices]
        return Along(self.tokens[indices], self.steps[indices], hours)


@dataclass(frozen=True)
class Series:
    """One curve. A y that is NaN is a gap."""

    label: str
    role: str
    """Its colour, and its id in the drawing unless `gid` is given."""
    along: Along
    y: Values
    smooth: Values | None = None
    """What is drawn over a faint `y`."""
    dots: bool = False
    """Whether each point is marked."""
    best: str = "lowest"
    """What its description calls the best: lowest, highest, or nothing."""
    gid: str = ""

    @property
    def main(self) -> Values:
        """The curve that is read: the smoothed one where there is one."""
        return self.y if self.smooth is None else self.smooth

    def described(self, decimals: int | None) -> str:
        """First, best and last of what is drawn, in words."""
        known = self.main[np.isfinite(self.main)]
        if not len(known):
            return f"{self.label}: no value."
        extreme = {"lowest": np.min, "highest": np.max}.get(self.best)
        numbers = (known[0], known[-1], extreme(known) if extreme else known[0])
        first, last, best = (number(float(value), decimals) for value in numbers)
        return f"{self.label}: first {first}, {f'{self.best} {best}, ' if extreme else ''}last {last}."


@dataclass(frozen=True)
class Level:
    """A number to compare with, the same all along."""

    label: str
    role: str
    value: float
    style: object = "--"
    """matplotlib's."""
    gid: str = ""


@dataclass(frozen=True)
class Chart:
    """One figure."""

    name: str
    """Of its ids."""
    title: str
    unit: str
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    span: tuple[float, float] = (0.0, 1.0)
    """The vertical axis."""
    log: bool = False
    large: bool = False
    """As wide as the page, with a label at the end of each curve."""
    decimals: int | None = None
    """Of its numbers; None: four digits that count."""
    crossed: Along | None = None
    """Points to mark at the bottom: skipped steps."""

    def described(self) -> str:
        """The drawing in words, for who does not see it."""
        levels = (f"{level.label}: {number(level.value, self.decimals)}." for level in self.levels)
        return " ".join([*(series.described(self.decimals) for series in self.series), *levels])


@dataclass(frozen=True)
class StageSpan:
    """Where one stage lies on the horizontal axis."""

    index: int
    label: str
    begin: dict[str, float]
    """By unit; of a stage that has not begun, without hours."""
    end: dict[str, float]


@dataclass(frozen=True)
class Frame:
    """What all figures of a page share: the horizontal axis."""

    end: dict[str, float]
    """Where it ends, by unit: the curriculum's end if the run goes on. Units that it lacks cannot be chosen."""
    stages: Sequence[StageSpan] = ()
    one: bool = True
    """Whether all curves are one run's, so that a place has the same step, tokens and hours for all."""


def floats(values: Sequence[float | None]) -> Values:
    """As an array, with NaN for what is missing or cannot be drawn."""
    return np.array([value if is_drawn(value) else np.nan for value in values], dtype=np.float64)


def is_drawn(value: float | None) -> TypeGuard[float]:
    """Whether there is a number that fits on paper."""
    return value is not None and abs(value) <= _MAX_DRAWN


def thinned(along: Along, curves: Sequence[Values], most: int) -> tuple[Along, list[Values]]:
    """At most `most` means of consecutive points, each where the last of them lies; NaN if none has a number."""
    count = len(along.tokens)
    if count <= most:
        return along, list(curves)
    together = -(-count // most)
    starts = np.arange(0, count, together)
    ends = np.minimum(starts + together, count) - 1
    return along.taken(ends), [_means(y, starts) for y in curves]


def running_mean(y: Values, stages: Sequence[int]) -> tuple[Values | None, int]:
    """The mean over the points around each, within its stage, and over how many; None if the run is too short.

    A gap stays a gap. The window shrinks at the ends of a stage, so that nothing lags.
    """
    half = len(y) // _SMOOTHED_OVER // 2
    if half < 1:
        return None, 1
    smooth, stage = np.full(len(y), np.nan), np.asarray(stages)
    borders = [0, *(np.flatnonzero(np.diff(stage)) + 1).tolist(), len(y)]
    for first, end in pairwise(borders):
        smooth[first:end] = _around(y[first:end], half)
    return smooth, 2 * half + 1


def _around(y: Values, half: int) -> Values:
    known = np.isfinite(y)
    sums, counts = (np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(known, y, 0.0), known))
    at = np.arange(len(y))
    low = np.maximum(at - half, 0)
    high = np.minimum(at + half + 1, len(y))
    mean = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.where(known, mean, np.nan)


def _means(y: Values, starts: npt.NDArray[np.int64]) -> Values:
    known = np.isfinite(y)
    sums, counts = np.add.reduceat(np.where(known, y, 0.0), starts), np.add.reduceat(known.astype(int), starts)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places of labels, at least `gap` from one another and within [low, high] if they fit, each near its own."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = [min(max(places[k], low), high) for k in order]
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + gap)
    over = high
    for k in reversed(range(len(moved))):
        moved[k] = min(moved[k], over)
        over = moved[k] - gap
    found = [0.0] * len(places)
    for k, place in zip(order, moved, strict=True):
        found[k] = place
    return found
