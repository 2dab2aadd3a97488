"""The parts of a run's page about each assembly by itself, and about the test split."""

from collections.abc import Iterator, Sequence

import numpy as np

from hdna.report import markup
from hdna.report.charts import Along, Chart, Series
from hdna.report.drawing import readable_range
from hdna.report.history import History
from hdna.report.markup import Html
from hdna.report.run_charts import along
from hdna.report.set_scores import SetScore
from hdna.report.tables import NONE, in_bits

ROLES = ("valid", "train", "markov", "entropy", "unigram", "source")
"""Colours of several curves of a kind, in their order."""
_COLUMNS = ("Assembly", "Bits per base", "Repeats", "Unique", "Bases scored", "Order-0 entropy", "Order-5 Markov")


def set_table(history: History) -> Iterator[Html]:
    """The last scores of each assembly beside simple models of the same bases; nothing if the run has none."""
    scores = history.sets
    if not scores.valid:
        return
    last = scores.valid[max(scores.valid)]
    rows = [_row(name, score, scores.baselines.get(name, {})) for name, score in last.items()]
    yield markup.heading("By assembly")
    yield markup.table(_COLUMNS, rows)
    yield markup.paragraph(
        f"Of the evaluation at step {max(scores.valid):,}. Repeats are an assembly's soft-masked (lower-case) bases."
    )


def held_out_table(history: History) -> Iterator[Html]:
    """The test split, which is scored once, at the end; nothing if it was not."""
    test, all_sets = history.sets.test, history.sets.test_all
    if not test and all_sets is None:
        return
    rows = [_row(name, score, {})[:5] for name, score in test.items()]
    if all_sets is not None and len(rows) != 1:
        rows.append(_row("all", all_sets, {})[:5])
    yield markup.heading("Test split")
    yield markup.table(_COLUMNS[:5], rows)
    yield markup.paragraph("Scored once, when training had ended.")


def set_chart(history: History) -> Chart | None:
    """Valid bits per base of each assembly; None for one, which the first figure shows."""
    valid = history.sets.valid
    names = sorted({name for scores in valid.values() for name in scores})[: len(ROLES)]
    steps = [step for step in history.steps if step.step in valid]
    if len(names) < 2 or not steps:
        return None
    places = along(steps, history.steps)
    series = [_series(name, places, [valid[s.step].get(name) for s in steps], k) for k, name in enumerate(names)]
    bits = np.concatenate([curve.y for curve in series])
    span = readable_range(np.array([]), bits[np.isfinite(bits)].tolist())
    return Chart(
        "sets", "Valid bits per base by assembly", "valid bits per base", series, (), span, large=True, decimals=4
    )


def _series(name: str, places: Along, scores: Sequence[SetScore | None], number: int) -> Series:
    y = np.array([np.nan if score is None else score.bits_per_base for score in scores], dtype=np.float64)
    return Series(name, ROLES[number], places, y, dots=True, gid=f"set-{number}")


def _row(name: str, score: SetScore, simple: dict[str, float]) -> tuple[str, ...]:
    return (
        name,
        in_bits(score.bits_per_base),
        in_bits(score.repeats),
        in_bits(score.unique),
        NONE if score.bases is None else f"{score.bases:,}",
        in_bits(simple.get("entropy")),
        in_bits(simple.get("markov")),
    )
