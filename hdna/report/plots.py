"""The figures of a page as SVG, for a browser without scripts and for paper."""

import numpy as np

from hdna.report.charts import Chart, Frame, Series
from hdna.report.drawing import COLOURS, Axes, draw_line, empty_figure, number_axis, svg
from hdna.report.numbers import number
from hdna.report.smoothing import MAX_POINTS, apart, thinned

_TOKENS = "tokens seen"
_SMALL_POINTS = 200
_MOST_DOTS = 60
"""More would hide the curve that they lie on."""
_LABEL_POINTS = 13.0
"""Height of a label."""


def chart_svg(chart: Chart, frame: Frame, narrow: bool = False) -> str:
    """The figure by tokens seen; `narrow`: shaped for a phone, under ids of its own."""
    inches = (4.4, 2.7) if not chart.large else (4.0, 4.4) if narrow else (9.2, 4.6)
    figure, axes = empty_figure(inches, _TOKENS)
    most = MAX_POINTS if chart.large and not narrow else _SMALL_POINTS
    _stages(axes, frame, short=narrow or not chart.large)
    axes.set_xlim(0, 1.01 * max(1.0, frame.end["tokens"]))
    for series in chart.series:
        _curve(axes, series, most, chart.large)
    for level in chart.levels:
        line = axes.axhline(level.value, color=COLOURS[level.role], linestyle=level.style, linewidth=1.3, zorder=2)
        line.set_gid(level.gid or level.role)
    if chart.crossed is not None:
        tokens = chart.crossed.tokens
        bottom = axes.get_xaxis_transform()
        (marks,) = axes.plot(tokens, np.full(len(tokens), 0.02), "x", color=COLOURS["valid"], transform=bottom)
        marks.set_gid("skipped")
    if chart.log:
        axes.set_yscale("log")
    axes.set_ylim(*chart.span)
    number_axis(axes.yaxis)
    axes.set_ylabel(chart.unit)
    _labels(axes, chart, inches[1] * 72 - 60)
    name = f"{chart.name}-phone" if narrow else chart.name
    return svg(figure, name, f"{chart.title} by tokens seen", chart.described())


def _curve(axes: Axes, series: Series, most: int, large: bool) -> None:
    curves = [series.y] if series.smooth is None else [series.y, series.smooth]
    along, drawn = thinned(series.along, curves, most)
    gid = series.gid or series.role
    if series.smooth is not None:
        draw_line(axes, along.tokens, drawn[0], f"{gid}-raw", series.role, linewidth=0.8, alpha=0.3)
    dots = {"marker": "o", "markersize": 5 if large else 3.5} if series.dots and len(along.tokens) <= _MOST_DOTS else {}
    draw_line(axes, along.tokens, drawn[-1], gid, series.role, linewidth=2.0 if large else 1.5, **dots)


def _stages(axes: Axes, frame: Frame, short: bool) -> None:
    """Every other stage shaded, with context lengths above where there is room."""
    for stage in frame.stages:
        first, last = stage.begin["tokens"], stage.end["tokens"]
        if stage.index % 2:
            axes.axvspan(first, last, color=COLOURS["ink"], alpha=0.06, linewidth=0)
        if (last - first) / max(1.0, frame.end["tokens"]) > (0.15 if short else 0.08):
            axes.annotate(
                stage.label if short else f"context {stage.label}",
                ((first + last) / 2, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                color=COLOURS["faint"],
                size=10,
            )


def _labels(axes: Axes, chart: Chart, height: float) -> None:
    """At the right end of each curve and level its name and last value; where lines meet, apart with a leader.

    `height`: of the plot in points, about.
    """
    named = [(level.label, level.role, level.value) for level in chart.levels]
    for series in chart.series if chart.large else ():
        known = series.main[np.isfinite(series.main)]
        if len(known):
            named.append((series.label, series.role, float(known[-1])))
    across = axes.transLimits.transform
    own = [float(across((0.0, float(axes.yaxis.get_transform().transform(value))))[1]) for _, _, value in named]
    shown = [(entry, place) for entry, place in zip(named, own, strict=True) if -0.01 <= place <= 1.01]
    gap = _LABEL_POINTS / height
    for ((label, role, value), place), moved in zip(shown, apart([p for _, p in shown], gap, 0, 1), strict=True):
        axes.annotate(
            f"{label} {number(value, chart.decimals)}",
            (1.0, place),
            xycoords="axes fraction",
            xytext=(1.03, moved),
            textcoords="axes fraction",
            va="center",
            color=COLOURS[role],
            size=10,
            arrowprops={"arrowstyle": "-", "color": COLOURS[role], "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
            annotation_clip=False,
            parse_math=False,
        )
