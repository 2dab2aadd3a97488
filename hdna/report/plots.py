"""The report's figures as inline SVG. The only importer of matplotlib.

Text stays text, in the page's font; colours become CSS variables, so that the page can be light or dark; the same
numbers give the same bytes. Every id is prefixed with the figure's name, because all figures share one page.
"""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any, TypeGuard

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullFormatter

from hdna.report.history import History
from hdna.report.tables import UNIFORM_BITS

COLOURS = {
    "ink": "#1c2733",
    "faint": "#7c8896",
    "grid": "#dfe5eb",
    "train": "#5b9bd0",
    "valid": "#d1495b",
    "markov": "#2e8b57",
    "unigram": "#8e6bbf",
    "entropy": "#c77d0a",
    "uniform": "#98a2ad",
    "source": "#0f8b8d",
}
"""By role, for a light page. report.css defines the dark ones under the same names."""
BASELINE_STYLES = {
    "uniform": ("uniform guess", ":"),
    "unigram": ("unigram", (0, (4, 2))),
    "entropy": ("order-0 entropy", (0, (6, 2, 1, 2))),
    "markov": ("order-5 Markov", "--"),
    "source": ("weights it began with", "-."),
}
_COMPARED = ("valid", "train", "markov", "entropy", "unigram", "source")
"""Colours of compared runs, in their order."""
MOST_COMPARED = len(_COMPARED)
MAX_POINTS = 1000
"""A longer curve is drawn as means of consecutive steps: more points would exceed the screen's resolution."""
_MAX_DRAWN = 1e30
"""A damaged file may hold any number, and matplotlib's own arithmetic overflows long before a float does."""

Values = npt.NDArray[np.float64]


def bits_plot(history: History, name: str, narrow: bool = False) -> str:
    """Train and valid bits per base by tokens, with shaded stages and simple models as lines.

    `narrow`: shaped for a phone.
    """
    figure, axes = _figure((4.0, 4.4) if narrow else (9.2, 4.6))
    tokens, train = _thinned(history, [step.bits_per_base for step in history.steps])
    _stages(axes, history, narrow)
    _line(axes, tokens, train, "train", "train", linewidth=1.3)
    _valid_line(axes, history)
    baselines = _all_baselines(history)
    for baseline, (label, style) in BASELINE_STYLES.items():
        if baseline in baselines:
            bits = baselines[baseline]
            line = axes.axhline(bits, color=COLOURS[baseline], linestyle=style, linewidth=1.3, zorder=2)
            line.set_gid(baseline)
            line.set_label(f"{label} {bits:.3f}")
    if history.skipped:
        skipped = [step.tokens for step in history.skipped]
        (marks,) = axes.plot(
            skipped, [0.02] * len(skipped), "x", color=COLOURS["valid"], transform=axes.get_xaxis_transform()
        )
        marks.set_gid("skipped")
        marks.set_label("skipped step")
    axes.set_ylim(*readable_range(train, [*shown_baselines(baselines), *_valid(history)]))
    axes.set_ylabel("bits per base")
    figure.legend(loc="outside lower center", ncols=2 if narrow else 3, frameon=False, labelcolor=COLOURS["ink"])
    return _svg(figure, name, "Train and valid bits per base by tokens seen")


def comparison_plot(histories: Sequence[History], labels: Sequence[str], name: str, narrow: bool = False) -> str:
    """Valid bits per base of several runs by tokens, from the score of the weights that each began with, if any."""
    figure, axes = _figure((4.0, 4.4) if narrow else (9.2, 4.6))
    drawn: list[float] = []
    for number, (history, label) in enumerate(zip(histories, labels, strict=True)):
        scored = [(float(s.tokens), s.valid_bits_per_base) for s in history.steps if _is_drawn(s.valid_bits_per_base)]
        begun = history.baselines.get("source")
        points = [(0.0, begun), *scored] if _is_drawn(begun) else scored
        tokens, bits = np.array(points, dtype=np.float64).reshape(-1, 2).T
        _line(axes, tokens, bits, f"run-{number}", _COMPARED[number], linewidth=2.0, marker="o", markersize=3.5)
        axes.lines[-1].set_label(label)
        drawn += bits.tolist()
    last = max(1, *(history.steps[-1].tokens for history in histories))
    axes.set_xlim(-0.01 * last, 1.01 * last)
    axes.set_ylim(*readable_range(np.array([]), drawn))
    axes.set_ylabel("valid bits per base")
    figure.legend(loc="outside lower center", ncols=1 if narrow else 3, frameon=False, labelcolor=COLOURS["ink"])
    return _svg(figure, name, "Valid bits per base of several runs by tokens seen")


def trace_plot(
    history: History, name: str, values: Sequence[float | None], label: str, unit: str, log: bool = False
) -> str:
    """One number per step by tokens seen; the axis starts at zero, or is logarithmic."""
    figure, axes = _figure((4.4, 2.7))
    tokens, drawn = _thinned(history, values)
    _stages(axes, history, narrow=True)
    _line(axes, tokens, drawn, name, "train", linewidth=1.4)
    positive = drawn[drawn > 0]
    if log and len(positive):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.08 * positive.max() if len(positive) else 1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(unit)
    return _svg(figure, name, f"{label} by tokens seen")


def readable_range(curve: Values, others: Sequence[float]) -> tuple[float, float]:
    """An axis range covering all of `others` and the curve without its top tenth, mostly the first steps."""
    finite = curve[np.isfinite(curve)]
    shown = [*others, *(np.quantile(finite, [0.0, 0.9]) if len(finite) else [])]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - margin), float(high + margin)


def shown_baselines(baselines: dict[str, float]) -> list[float]:
    """Bits per base of the entries of baselines.json that the plot draws."""
    return [baselines[name] for name in BASELINE_STYLES if name in baselines]


def beyond_range(history: History) -> tuple[int, float]:
    """How many points of the train curve are above the plot's upper edge, and the edge itself."""
    _, train = _thinned(history, [step.bits_per_base for step in history.steps])
    high = readable_range(train, [*shown_baselines(_all_baselines(history)), *_valid(history)])[1]
    return int((train > high).sum()), high


def _all_baselines(history: History) -> dict[str, float]:
    return {"uniform": UNIFORM_BITS, **{name: bits for name, bits in history.baselines.items() if _is_drawn(bits)}}


def _is_drawn(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) <= _MAX_DRAWN


def _tick(value: float, position: int) -> str:
    """A tick's label: 20k, 0.002; matplotlib also passes its position."""
    return EngFormatter(sep="").format_eng(value) if abs(value) >= 1000 else f"{value:g}"


def _valid(history: History) -> list[float]:
    return [step.valid_bits_per_base for step in history.steps if _is_drawn(step.valid_bits_per_base)]


def _valid_line(axes: Axes, history: History) -> None:
    """Evaluations, joined only within a stage: another stage scores at another context length."""
    tokens: list[float] = []
    bits: list[float] = []
    for stage in history.stages:
        for step in history.steps:
            if step.stage == stage.index and _is_drawn(step.valid_bits_per_base):
                tokens.append(step.tokens)
                bits.append(step.valid_bits_per_base)
        tokens.append(stage.last_token)
        bits.append(np.nan)
    if _valid(history):
        _line(axes, np.array(tokens), np.array(bits), "valid", "valid", linewidth=2.2, marker="o", markersize=5.5)


def _figure(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """Empty axes over tokens seen; sizes are at 72 dots per inch, which a page shows unscaled."""
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
    axes.set_xlabel("tokens seen")
    axes.xaxis.label.set(color=COLOURS["ink"], size=11)
    axes.yaxis.label.set(color=COLOURS["ink"], size=11)
    return figure, axes


def _line(axes: Axes, x: Values, y: Values, gid: str, colour: str, **style: Any) -> None:  # noqa: ANN401
    """`style`: matplotlib's line properties."""
    if np.isfinite(y).sum() == 1:
        style.setdefault("marker", "o")  # a line through one point is invisible
    (line,) = axes.plot(x, y, color=COLOURS[colour], label=gid, zorder=3, **style)
    line.set_gid(gid)


def _stages(axes: Axes, history: History, narrow: bool) -> None:
    """The axis of tokens seen, every other stage shaded, with context lengths above where there is room."""
    last = max(1, history.stages[-1].last_token)
    axes.set_xlim(0, 1.01 * last)
    for stage in history.stages:
        if stage.index % 2:
            axes.axvspan(stage.first_token, stage.last_token, color=COLOURS["ink"], alpha=0.06, linewidth=0)
        share = (stage.last_token - stage.first_token) / last
        if share > (0.15 if narrow else 0.08):
            axes.annotate(
                f"{stage.context_length:,}" if narrow else f"context {stage.context_length:,}",
                ((stage.first_token + stage.last_token) / 2, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                color=COLOURS["faint"],
                size=10,
            )


def _thinned(history: History, values: Sequence[float | None]) -> tuple[Values, Values]:
    """Tokens and values as at most MAX_POINTS means of consecutive steps; NaN if no step has a number."""
    together = -(-len(values) // MAX_POINTS)
    starts = np.arange(0, len(values), together)
    y = np.array([value if _is_drawn(value) else np.nan for value in values], dtype=np.float64)
    known = np.isfinite(y)
    sums, counts = np.add.reduceat(np.where(known, y, 0.0), starts), np.add.reduceat(known.astype(int), starts)
    tokens = np.array([step.tokens for step in history.steps], dtype=np.float64)
    ends = np.minimum(starts + together, len(values)) - 1
    return tokens[ends], np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an SVG element for a page with several."""
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
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1).replace(
        ">", f"><title>{escape(label)}</title>", 1
    )
