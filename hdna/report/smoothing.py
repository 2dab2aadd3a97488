"""Curves of many points made readable: thinned by means, smoothed by running means; and labels kept apart."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hdna.report.charts import Along, Values

MAX_POINTS = 800
"""A longer curve is drawn as means of consecutive points: more would exceed the screen's resolution."""
_SMOOTHED_OVER = 50
"""A smoothed curve is a running mean over this part of the run."""


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
