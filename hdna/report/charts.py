"""The figures of a page as data: curves over tokens, steps and hours of training.

plots.py draws them for a browser without scripts and for print, the page's scripts for every other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from hdna.report.numbers import number

Values = npt.NDArray[np.float64]
UNITS = ("tokens", "steps", "hours")
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
