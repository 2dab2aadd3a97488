"""Figures as inline SVG, drawn by matplotlib: what all of them share. The door to matplotlib.

Text stays text, in the page's font; colours become CSS variables, so that the page can be light or dark; the same
numbers give the same bytes. Every id is prefixed with the figure's name, because all figures share one page.
"""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullFormatter

from hdna.report.numbers import MINUS

__all__ = [
    "Axes",
    "Figure",
    "Values",
    "COLOURS",
    "empty_figure",
    "number_axis",
    "count_axis",
    "draw_line",
    "readable_range",
    "svg",
]

Values = npt.NDArray[np.float64]
_PLACES = re.compile(r'(?<= )(?:d|x|y|transform)="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
"""A hundredth of a pixel is finer than any screen."""

COLOURS = {
    "ink": "#1c2733",
    "faint": "#5a6774",
    "grid": "#dfe5eb",
    "train": "#1f6fae",
    "valid": "#c2334a",
    "markov": "#1f7a48",
    "unigram": "#7a55b0",
    "entropy": "#94590a",
    "uniform": "#66717d",
    "source": "#0b7779",
}
"""By role, for a light page. report.css defines the dark ones under the same names. All but the grid's have a contrast
of 4.5 with card and paper in either, since labels have their curves' colours."""


def empty_figure(inches: tuple[float, float], x_label: str) -> tuple[Figure, Axes]:
    """Empty axes; sizes are at 72 dots per inch, which a page shows unscaled."""
    figure = Figure(figsize=inches, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.grid(color=COLOURS["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(COLOURS["faint"])
    axes.tick_params(color=COLOURS["faint"], labelcolor=COLOURS["ink"], labelsize=10.5)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(x_label)
    axes.xaxis.label.set(color=COLOURS["ink"], size=11)
    axes.yaxis.label.set(color=COLOURS["ink"], size=11)
    return figure, axes


def draw_line(axes: Axes, x: Values, y: Values, gid: str, colour: str, **style: Any) -> None:  # noqa: ANN401
    """A curve; `style`: matplotlib's line properties."""
    if np.isfinite(y).sum() == 1:
        style.setdefault("marker", "o")  # a line through one point is invisible
    (drawn,) = axes.plot(x, y, color=COLOURS[colour], label=gid, zorder=3, **style)
    drawn.set_gid(gid)


def readable_range(curve: Values, others: Sequence[float]) -> tuple[float, float]:
    """An axis range covering all of `others` and the curve without its top tenth, mostly the first steps."""
    finite = curve[np.isfinite(curve)]
    shown = [*others, *(np.quantile(finite, [0.0, 0.9]) if len(finite) else [])]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - margin), float(high + margin)


def number_axis(axis: Any) -> None:  # noqa: ANN401 - matplotlib's own
    """Label an axis by numbers: 20k, 0.002; the same on a logarithmic one."""
    axis.set_major_formatter(FuncFormatter(_tick))
    axis.set_minor_formatter(NullFormatter())


def count_axis(axis: Any) -> None:  # noqa: ANN401 - matplotlib's own
    """Label an axis by whole numbers, digits in threes: 1,024, where 1.024k would be odd."""
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float, position: int) -> str:
    """A tick's label: 20k, 0.002; matplotlib also passes its position."""
    return EngFormatter(sep="").format_eng(value) if abs(value) >= 1000 else f"{value:g}".replace("-", MINUS)


def svg(figure: Figure, name: str, label: str, description: str) -> str:
    """The figure as an SVG element for a page with several; `description`: what it shows, in words."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*;?", "", text).replace("font: 10px", "font-size: 10px")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for role, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{role}, {colour})")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = _PLACES.sub(lambda found: _DECIMALS.sub(r"\1", found[0]), text)
    tag = f'<svg role="img" aria-label="{escape(label)}" aria-describedby="{name}-desc"'
    words = f'<title>{escape(label)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return text.replace("<svg", tag, 1).replace(">", f">{words}", 1)
