"""The figures of the page that compares runs: their curves over one another."""

from collections.abc import Sequence

import numpy as np

from hdna.report.charts import UNITS, Along, Chart, Frame, Series, floats, is_drawn
from hdna.report.drawing import readable_range
from hdna.report.history import History
from hdna.report.run_charts import RunCharts, along
from hdna.report.set_sections import ROLES
from hdna.report.smoothing import running_mean

MOST_COMPARED = len(ROLES)


def comparison_charts(histories: Sequence[History], names: Sequence[str]) -> list[Chart]:
    """Valid bits per base, and train bits per base, each of all runs."""
    valid = [_valid(history, name, number) for number, (history, name) in enumerate(zip(histories, names, strict=True))]
    train = [_train(history, name, number) for number, (history, name) in enumerate(zip(histories, names, strict=True))]
    return [
        _chart("runs", "Valid bits per base of the runs", "valid bits per base", valid),
        _chart("train", "Train bits per base of the runs", "train bits per base", train),
    ]


def shared_frame(histories: Sequence[History]) -> Frame:
    """A horizontal axis that the longest run fits on, in the units that all of them have."""
    ends = [RunCharts(history).frame().end for history in histories]
    return Frame(
        {unit: max(end[unit] for end in ends) for unit in UNITS if all(unit in end for end in ends)}, one=False
    )


def _chart(name: str, title: str, unit: str, series: Sequence[Series]) -> Chart:
    curves = [curve.y[np.isfinite(curve.y)] for curve in series]
    highs = [float(np.quantile(curve, 0.9)) for curve in curves if len(curve)]
    lows = [float(curve.min()) for curve in curves if len(curve)]
    dotted = [float(value) for curve in curves for value in curve] if all(curve.dots for curve in series) else []
    return Chart(
        name, title, unit, series, (), readable_range(np.array([]), [*highs, *lows, *dotted]), large=True, decimals=4
    )


def _valid(history: History, name: str, number: int) -> Series:
    """Evaluations, from the score of the weights that the run began from, if any."""
    scored = [step for step in history.steps if is_drawn(step.valid_bits_per_base)]
    places, y = along(scored, history.steps), floats([step.valid_bits_per_base for step in scored])
    if is_drawn(begun := history.baselines.get("source")):
        places, y = _from_zero(places), np.concatenate([[begun], y])
    return Series(name, ROLES[number], places, y, dots=True, gid=f"run-{number}")


def _train(history: History, name: str, number: int) -> Series:
    bits = floats([step.bits_per_base for step in history.steps])
    smooth, _ = running_mean(bits, [step.stage for step in history.steps])
    y = bits if smooth is None else smooth
    return Series(name, ROLES[number], along(history.steps), y, gid=f"train-{number}")


def _from_zero(places: Along) -> Along:
    hours = None if places.hours is None else np.concatenate([[0.0], places.hours])
    return Along(np.concatenate([[0.0], places.tokens]), np.concatenate([[0.0], places.steps]), hours)
