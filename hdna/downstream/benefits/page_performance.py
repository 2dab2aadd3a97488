"""The section on predictive performance: context, tasks beside every baseline, and where the model is good."""

from collections.abc import Iterator, Sequence

from hdna.downstream.benefits.bodies import Context, ContextRow
from hdna.downstream.benefits.comparisons import UNKNOWN, main_metric
from hdna.downstream.benefits.form import Comparison, Found, Performance
from hdna.downstream.benefits.shown import in_words, number, origin
from hdna.downstream.benefits.task_body import Leak, Task
from hdna.report import markup
from hdna.report.curves import Curve, curves_plot
from hdna.report.markup import Html
from hdna.report.tables import NONE, in_bits

MOST_FIGURES = 12
"""Of one kind: a page stays below 1 MB."""


def performance(found: Performance) -> Iterator[Html]:
    """All of it; nothing of what is missing."""
    if found.valid_bits_per_base is not None or found.markov_bits_per_base is not None:
        yield markup.facts(
            [
                ("Bits per base on the valid split, last score of the run", in_bits(found.valid_bits_per_base)),
                ("Order-5 Markov model on the same split", in_bits(found.markov_bits_per_base)),
            ]
        )
    for place, context in enumerate(found.context):
        yield from _context(context, f"context-{place}")
    if found.tasks:
        yield from _overview(found.tasks, found.comparisons)
    for place, task in enumerate(found.tasks):
        yield markup.folded(f"{task.body.task} by {task.body.method}", _task(task, place))


def _context(found: Found[Context], name: str) -> Iterator[Html]:
    rows = found.body.contexts
    lengths = [row.context_length for row in rows]
    curves = [
        Curve(
            "all bases",
            lengths,
            [row.bits_per_base for row in rows],
            [row.low for row in rows],
            [row.high for row in rows],
        ),
        Curve("repeats", lengths, [row.repeat_bits_per_base for row in rows], dashed=True),
        Curve("unique sequence", lengths, [row.unique_bits_per_base for row in rows], dashed=True),
    ]
    shown = [curve for curve in curves if any(value is not None for value in curve.y)]
    title = "Bits per base against context length"
    labels = ("context length", "bits per base")
    wide, narrow = (curves_plot(shown, name + end, title, *labels, True, bool(end)) for end in ("", "-phone"))
    targets = f"The same {found.body.target_bases:,} bases of the {found.body.split} split at every length."
    yield markup.figure(f"{targets} {origin(found.source)}", wide, narrow, title)
    columns = ("Context", "Bits per base", "95 % interval", "Repeats", "Unique", "Bases")
    yield markup.table(columns, [_context_row(row) for row in rows], 0)
    if len(found.body.sets) > 1:
        of_sets = [(one.name, *_context_row(row)) for one in found.body.sets for row in one.contexts]
        yield markup.table(("Set", *columns), of_sets)


def _context_row(row: ContextRow) -> tuple[str, ...]:
    interval = NONE if row.low is None or row.high is None else f"{row.low:.4f} to {row.high:.4f}"
    bits = (in_bits(value) for value in (row.repeat_bits_per_base, row.unique_bits_per_base))
    return f"{row.context_length:,}", in_bits(row.bits_per_base), interval, *bits, f"{row.bases:,}"


def _overview(tasks: Sequence[Found[Task]], compared: Sequence[Comparison]) -> Iterator[Html]:
    """The figure that decides, of every task and baseline."""
    rows = []
    for body in (task.body for task in tasks):
        metric = main_metric(body)
        name, own = f"{body.task} by {body.method}: {metric}", number(body.metrics.get(metric, UNKNOWN).value)
        beside = [one for one in compared if (one.task, one.method) == (body.task, body.method)]
        if not beside:
            rows.append((name, "none", NONE, own, NONE, NONE))
        for one in beside:
            wins = {"model": "this model", "baseline": one.baseline}.get(one.winner, one.winner)
            rows.append((name, one.baseline, wins, own, number(one.other.value), in_words(one.difference, signed=True)))
    columns = ("Task", "Baseline", "Who wins", "This model", "Its figure", "Difference")
    yield markup.table(columns, rows, 3, dense=True)
    yield markup.paragraph(
        "Difference: this model minus the baseline on the same test rows, resampled in pairs. Who wins is undecided "
        "where its interval holds zero. The figures' own intervals are below, with each task. Higher is better; "
        "of the calibration error (ece) lower is."
    )


def _task(found: Found[Task], number: int) -> Iterator[Html]:
    """Everything that is known of one task."""
    body, metric = found.body, main_metric(found.body)
    rows = ", ".join(f"{count:,} {split}" for split, count in body.rows.items())
    yield markup.paragraph(f"{body.kind}; rows: {rows or 'not stated'}. {origin(found.source)}")
    names = list(body.baselines)
    yield markup.table(
        ("Figure", "This model", *names),
        [
            (name, in_words(own), *(in_words(body.baselines[one].metrics.get(name, UNKNOWN)) for one in names))
            for name, own in body.metrics.items()
        ],
        dense=True,
    )
    if names:
        yield markup.table(
            ("Difference in", *(f"minus {name}" for name in names)),
            [
                (name, *(in_words(body.baselines[one].difference.get(name, UNKNOWN), True) for one in names))
                for name in body.metrics
            ],
            dense=True,
        )
    if body.leaks:
        yield markup.facts(entry for kind, leak in body.leaks.items() for entry in _leak(kind, leak, metric))
    yield from _strata(body, metric)
    if body.calibration and number < MOST_FIGURES:
        yield _calibration(body, f"calibration-{number}")


def _leak(kind: str, leak: Leak, metric: str) -> Iterator[tuple[str, str]]:
    """Test rows that were seen before, and the figure that decides without them."""
    name = f"Leaks, {kind.replace('_', ' ')}"
    if leak.found is None:
        yield name, leak.reason or "not compared"
        return
    counts = ", ".join(f"{band.replace('_', ' ')}: {count:,}" for band, count in leak.found.items())
    yield f"{name}: of {leak.rows:,} test rows", counts
    left = f"{leak.rows_without:,} rows" if leak.rows_without else "no row is left"
    figure = (leak.metrics_without or {}).get(metric, UNKNOWN)
    yield f"{name}: {metric} without them ({left})", in_words(figure)
    for baseline, difference in (leak.differences_without or {}).items():
        yield f"{name}: the same minus {baseline}", in_words(difference.get(metric, UNKNOWN), signed=True)


def _strata(body: Task, metric: str) -> Iterator[Html]:
    rows, methods = [], dict[str, None]()
    for parts in body.strata.values():
        for stratum in parts.values():
            methods |= dict.fromkeys(stratum.metrics)
    for by, parts in body.strata.items():
        for name, stratum in parts.items():
            figures = (in_words(stratum.metrics.get(one, {}).get(metric, UNKNOWN)) for one in methods)
            rows.append((f"{by}: {name}", f"{stratum.rows:,}", *figures))
    if rows:
        yield markup.table((f"Stratum ({metric})", "Rows", *methods), rows, 1, dense=True)


def _calibration(body: Task, name: str) -> Html:
    bins = [one for one in body.calibration if one.confidence is not None]
    curves = [
        Curve("this model", [one.confidence or 0.0 for one in bins], [one.right for one in bins]),
        Curve("calibrated", [0.0, 1.0], [0.0, 1.0], dashed=True),
    ]
    title = "Calibration"
    plot = curves_plot(curves, name, title, "confidence", "share that is right", narrow=True)
    return markup.figures([markup.figure("Of predictions in bins of confidence.", plot, title=title)])
