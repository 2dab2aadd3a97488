"""The figures of a run's page: bits per base and traces, by tokens seen."""

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from hdna.report.drawing import COLOURS, Axes, Values, draw_line, empty_figure, number_axis, readable_range, svg
from hdna.report.history import History
from hdna.report.tables import UNIFORM_BITS

BASELINE_STYLES = {
    "uniform": ("uniform guess", ":"),
    "unigram": ("unigram", (0, (4, 2))),
    "entropy": ("order-0 entropy", (0, (6, 2, 1, 2))),
    "markov": ("order-5 Markov", "--"),
    "source": ("weights it began with", "-."),
}
_TOKENS = "tokens seen"
_COMPARED = ("valid", "train", "markov", "entropy", "unigram", "source")
"""Colours of compared runs, in their order."""
MOST_COMPARED = len(_COMPARED)
MAX_POINTS = 1000
"""A longer curve is drawn as means of consecutive steps: more points would exceed the screen's resolution."""
_MAX_DRAWN = 1e30
"""A damaged file may hold any number, and matplotlib's own arithmetic overflows long before a float does."""


def bits_plot(history: History, name: str, narrow: bool = False) -> str:
    """Train and valid bits per base by tokens, with shaded stages and simple models as lines.

    `narrow`: shaped for a phone.
    """
    figure, axes = empty_figure((4.0, 4.4) if narrow else (9.2, 4.6), _TOKENS)
    tokens, train = _thinned(history, [step.bits_per_base for step in history.steps])
    _stages(axes, history, narrow)
    draw_line(axes, tokens, train, "train", "train", linewidth=1.3)
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
    return svg(figure, name, "Train and valid bits per base by tokens seen")


def comparison_plot(histories: Sequence[History], labels: Sequence[str], name: str, narrow: bool = False) -> str:
    """Valid bits per base of several runs by tokens, from the score of the weights that each began with, if any."""
    figure, axes = empty_figure((4.0, 4.4) if narrow else (9.2, 4.6), _TOKENS)
    drawn: list[float] = []
    for number, (history, label) in enumerate(zip(histories, labels, strict=True)):
        scored = [(float(s.tokens), s.valid_bits_per_base) for s in history.steps if _is_drawn(s.valid_bits_per_base)]
        begun = history.baselines.get("source")
        points = [(0.0, begun), *scored] if _is_drawn(begun) else scored
        tokens, bits = np.array(points, dtype=np.float64).reshape(-1, 2).T
        draw_line(axes, tokens, bits, f"run-{number}", _COMPARED[number], linewidth=2.0, marker="o", markersize=3.5)
        axes.lines[-1].set_label(label)
        drawn += bits.tolist()
    last = max(1, *(history.steps[-1].tokens for history in histories))
    axes.set_xlim(-0.01 * last, 1.01 * last)
    axes.set_ylim(*readable_range(np.array([]), drawn))
    axes.set_ylabel("valid bits per base")
    figure.legend(loc="outside lower center", ncols=1 if narrow else 3, frameon=False, labelcolor=COLOURS["ink"])
    return svg(figure, name, "Valid bits per base of several runs by tokens seen")


def trace_plot(
    history: History, name: str, values: Sequence[float | None], label: str, unit: str, log: bool = False
) -> str:
    """One number per step by tokens seen; the axis starts at zero, or is logarithmic."""
    figure, axes = empty_figure((4.4, 2.7), _TOKENS)
    tokens, drawn = _thinned(history, values)
    _stages(axes, history, narrow=True)
    draw_line(axes, tokens, drawn, name, "train", linewidth=1.4)
    positive = drawn[drawn > 0]
    if log and len(positive):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.08 * positive.max() if len(positive) else 1.0)
    number_axis(axes.yaxis)
    axes.set_ylabel(unit)
    return svg(figure, name, f"{label} by tokens seen")


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
        draw_line(axes, np.array(tokens), np.array(bits), "valid", "valid", linewidth=2.2, marker="o", markersize=5.5)


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
