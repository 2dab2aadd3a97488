"""Curves of any kind in one figure: several series over a shared axis, with bands for their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hdna.report.drawing import COLOURS, count_axis, draw_line, empty_figure, number_axis, readable_range, svg
from hdna.report.numbers import number

_ROLES = ("valid", "train", "markov", "entropy", "unigram", "source")
MAX_CURVES = len(_ROLES)


@dataclass(frozen=True)
class Curve:
    """A series of points. A y that is None, or not a number, is left out."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    """Lower ends of the points' intervals, beside `high`."""
    high: Sequence[float | None] | None = None
    dashed: bool = False


def curves_plot(
    curves: Sequence[Curve],
    name: str,
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    narrow: bool = False,
) -> str:
    """Up to MAX_CURVES curves as an SVG element, whose ids begin with `name`; `narrow`: shaped for a phone."""
    figure, axes = empty_figure((4.0, 4.0) if narrow else (9.2, 4.2), x_label)
    if log_x:
        axes.set_xscale("log", base=2)
    for place, (curve, role) in enumerate(zip(curves, _ROLES, strict=False)):
        x, y = np.asarray(curve.x, np.float64), _floats(curve.y)
        style = "--" if curve.dashed else "-"
        draw_line(axes, x, y, f"curve-{place}", role, linewidth=2.0, marker="o", markersize=4, linestyle=style)
        axes.lines[-1].set_label(curve.label)
        if curve.low is not None and curve.high is not None:
            low, high = _floats(curve.low), _floats(curve.high)
            axes.fill_between(x, low, high, color=COLOURS[role], alpha=0.15, linewidth=0)
    drawn = np.concatenate([_floats(y) for c in curves for y in (c.y, c.low, c.high) if y is not None] or [np.zeros(0)])
    axes.set_ylim(*readable_range(np.zeros(0), drawn[np.isfinite(drawn)].tolist()))
    (count_axis if log_x else number_axis)(axes.xaxis)
    axes.set_ylabel(y_label)
    figure.legend(loc="outside lower center", ncols=1 if narrow else 3, frameon=False, labelcolor=COLOURS["ink"])
    return svg(figure, name, title, " ".join(map(_described, curves)))


def _described(curve: Curve) -> str:
    """A curve in words, for who does not see it."""
    known = [y for y in curve.y if y is not None and np.isfinite(y)]
    if not known:
        return f"{curve.label}: no value."
    first, low, high, last = map(number, (known[0], min(known), max(known), known[-1]))
    return f"{curve.label}: first {first}, lowest {low}, highest {high}, last {last}."


def _floats(values: Sequence[float | None]) -> "np.typing.NDArray[np.float64]":
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
