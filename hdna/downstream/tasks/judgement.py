"""Methods compared on the same test rows: figures with intervals, differences on the same draws, calibration."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from hdna.downstream import metrics
from hdna.downstream.bootstrap import DRAWS, Drawn, draw, interval
from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.tasks.figures import Figure, Judged, confidence
from hdna.downstream.tasks.problem import Kind

Estimates = dict[str, dict[str, float | None]]
"""Figures by name, each {"value", "low", "high"}."""

_WORK = 50_000_000
"""Labels that all draws of a figure together may read: fewer draws of large sets, whose intervals are narrow."""
_FEWEST_DRAWS = 100


def compare(
    judged: Judged, scores: Mapping[str, Floats], figures: Mapping[str, Figure], draws: int | None = None
) -> dict[str, Any]:
    """{"draws", "metrics": {method: figures}, "differences": {method: figures}}, all on the same draws.

    A difference is the first method's figure minus another's. `scores` are those of all test rows, by method; `draws`
    follow from the number of labels if they are not given.
    """
    taken = {name: own[judged.taken] for name, own in scores.items()}
    draws = draws or draws_for(judged.labels.size)

    def all_figures(rows: Ints) -> Floats:
        labels = judged.labels[rows]
        return np.array([figure(labels, own[rows]) for own in taken.values() for figure in figures.values()])

    drawn = draw(all_figures, judged.groups_R, draws)
    of = {name: slice(at * len(figures), (at + 1) * len(figures)) for at, name in enumerate(taken)}
    first, *others = taken
    return {
        "draws": draws,
        "metrics": {name: _estimates(_columns(drawn, of[name]), figures) for name in taken},
        "differences": {
            name: _estimates(_difference(_columns(drawn, of[first]), _columns(drawn, of[name])), figures)
            for name in others
        },
    }


def draws_for(labels: int) -> int:
    """How often to draw from a set of so many labels."""
    return max(_FEWEST_DRAWS, min(DRAWS, _WORK // max(labels, 1)))


def calibration(kind: Kind, judged: Judged, scores: Floats) -> list[dict[str, float | None]]:
    """Of each bin of confidence: rows, mean confidence, share of right guesses; None in empty bins."""
    rows, mean, share = metrics.reliability(*confidence(kind, judged.labels.astype(np.int64), scores[judged.taken]))
    return [
        {"rows": count, "confidence": _number(sure), "right": _number(right)}
        for count, sure, right in zip(rows.tolist(), mean.tolist(), share.tolist(), strict=True)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _columns(drawn: Drawn, part: slice) -> Drawn:
    return Drawn(drawn.values_F[part], drawn.found_DF[:, part], drawn.groups)


def _difference(one: Drawn, other: Drawn) -> Drawn:
    return Drawn(one.values_F - other.values_F, one.found_DF - other.found_DF, one.groups)


def _estimates(drawn: Drawn, names: Mapping[str, Figure]) -> Estimates:
    return {
        name: asdict(interval(value, drawn.found_DF[:, at], drawn.groups))
        for at, (name, value) in enumerate(zip(names, drawn.values_F.tolist(), strict=True))
    }
