"""Intervals of any figure by resampling rows, or whole groups of rows that are alike (chromosomes).

The percentiles are widened for a finite number of groups as Hesterberg proposes (The American Statistician 69, 2015,
section 4.3): plain percentiles are too narrow by a factor sqrt((n - 1) / n) and have no t in them. Simulated coverage:
bench/bootstrap_coverage.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from hdna.downstream.metrics import Floats, Ints

DRAWS = 1000
LEVEL = 0.95
_MAX_UNDEFINED = 0.1
"""Of the draws; a figure that is not defined in more (one class only, say) has no interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Drawn:
    """F figures of all rows, and of each draw: differences of figures are differences of their columns."""

    values_F: Floats
    found_DF: Floats
    groups: int


def estimate(figure: Callable[[Ints], float], groups_N: Ints, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """A figure of all rows, and its interval; for the difference of two models, let `figure` be that difference.

    Args:
        figure: of rows by their numbers, with repetitions; NaN where it is not defined.
        groups_N: the group of each row; groups are drawn with replacement. `np.arange(N)` draws rows.
        draws: how often.
        seed: the same seed gives the same draws, so that models on the same rows are compared in pairs.

    """
    drawn = draw(lambda rows: np.array([figure(rows)]), groups_N, draws, seed)
    return interval(drawn.values_F[0], drawn.found_DF[:, 0], drawn.groups)


def draw(figures: Callable[[Ints], Floats], groups_N: Ints, draws: int = DRAWS, seed: int = 0) -> Drawn:
    """Several figures on the same draws; arguments as of `estimate`. No draws of fewer than two groups."""
    values = figures(np.arange(len(groups_N)))
    order = np.argsort(groups_N, kind="stable")
    _, starts = np.unique(groups_N[order], return_index=True)
    members = np.split(order, starts[1:])
    if len(members) < 2:
        return Drawn(values, np.empty((0, len(values))), len(members))
    rng, found = np.random.default_rng(seed), np.empty((draws, len(values)))
    alone = len(members) == len(groups_N)
    for number in range(draws):
        drawn = rng.integers(len(members), size=len(members))
        found[number] = figures(order[drawn] if alone else np.concatenate([members[group] for group in drawn]))
    return Drawn(values, found, len(members))


def interval(value: float, found_D: Floats, groups: int) -> Estimate:
    """The estimate that a figure's draws give."""
    if math.isnan(value):
        return Estimate(None, None, None)
    defined = found_D[~np.isnan(found_D)]
    if not len(defined) or len(defined) < (1 - _MAX_UNDEFINED) * len(found_D):
        return Estimate(float(value), None, None)
    tail = _widened_tail(groups)
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    return Estimate(float(value), low, high)


def _widened_tail(groups: int) -> float:
    """The share of draws to leave out at each end."""
    return NormalDist().cdf(-math.sqrt(groups / (groups - 1)) * _t_quantile(groups - 1))


def _t_quantile(freedom: int) -> float:
    """Student's t at (1 + LEVEL) / 2: the normal's, expanded in 1 / freedom (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))
