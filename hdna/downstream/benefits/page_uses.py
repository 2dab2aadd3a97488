"""The sections on labels, emergent uses and the human interface."""

from collections.abc import Iterator, Sequence

from hdna.downstream.benefits.bodies import FirstResult, Needle, Variants
from hdna.downstream.benefits.comparisons import UNKNOWN, main_metric
from hdna.downstream.benefits.form import Emergent, Found, LabelCurve
from hdna.downstream.benefits.page_performance import MOST_FIGURES
from hdna.downstream.benefits.shown import compact, in_words, leaves, number, origin
from hdna.downstream.benefits.task_body import Task
from hdna.report import markup
from hdna.report.curves import Curve, curves_plot
from hdna.report.markup import Html
from hdna.report.tables import in_bits


def less_labels(curves: Sequence[LabelCurve]) -> Iterator[Html]:
    """A table of each learning curve, and figures of the first."""
    if curves:
        drawn = enumerate(curves[:MOST_FIGURES])
        yield markup.figures(_label_figure(curve, f"labels-{at}") for at, curve in drawn)
    for curve in curves:
        saved = "labels saved not stated."
        if curve.saved:
            saved = f"share of labels saved at the quality of {curve.saved.quality_of}: {in_words(curve.saved.share)}."
        yield markup.paragraph(f"{curve.task} by {curve.method}: {saved}")
        rows = [
            (f"{p.labels:,}", in_words(p.pretrained), in_words(p.scratch), in_words(p.difference, signed=True))
            for p in curve.points
        ]
        yield markup.table(("Labels", f"Pretrained ({curve.metric})", "From scratch", "Difference"), rows, 0)


def _label_figure(curve: LabelCurve, name: str) -> Html:
    labels = [point.labels for point in curve.points]
    series = {"pretrained": [p.pretrained for p in curve.points], "from scratch": [p.scratch for p in curve.points]}
    curves = [
        Curve(label, labels, [e.value for e in own], [e.low for e in own], [e.high for e in own])
        for label, own in series.items()
    ]
    title = f"{curve.task} by {curve.method}"
    plot = curves_plot(curves, name, title, "labels", curve.metric, log_x=True, narrow=True)
    return markup.figure("Quality over the number of labels, with 95 % intervals.", plot, title=title)


def emergent(found: Emergent) -> Iterator[Html]:
    """Variants, learning in context, needle, each beside its control."""
    for variants in found.variants:
        yield from _variants(variants)
    if found.in_context:
        rows = [_in_context(task.body) for task in found.in_context]
        yield markup.table(("Learned in context", "Method", "Figure", "This model", "Best baseline"), rows, 5)
    for at, needle in enumerate(found.needle):
        yield from _needle(needle, f"needle-{at}")


def _variants(found: Found[Variants]) -> Iterator[Html]:
    body = found.body
    refused = sum(body.refused.values())
    yield markup.paragraph(
        f"Zero-shot scores of {body.alleles:,} alleles by {body.method or 'an unstated method'}, context "
        f"{body.context_length:,}, horizon {body.horizon:,}, {body.strands} strand(s); {refused:,} set apart. "
        f"{origin(found.source)}"
    )
    entries = [(f"labelled, {name}", value) for name, value in leaves(body.labelled or {})]
    entries += [(f"control, {name}", value) for name, value in leaves(body.controls or {})]
    entries.append(("seconds per thousand alleles", compact(body.seconds_per_thousand_alleles)))
    yield markup.facts(entries)


def _in_context(body: Task) -> tuple[str, ...]:
    metric = main_metric(body)
    others = [(b.metrics.get(metric, UNKNOWN), name) for name, b in body.baselines.items()]
    known = [(figure.value, figure, name) for figure, name in others if figure.value is not None]
    best = max(known, key=lambda one: one[0], default=None)
    beside = f"{best[2]}: {in_words(best[1])}" if best else "none"
    return body.task, body.method, metric, in_words(body.metrics.get(metric, UNKNOWN)), beside


def _needle(found: Found[Needle], name: str) -> Iterator[Html]:
    rows = found.body.distances
    distances = [row.distance for row in rows]
    curve = Curve("gain", distances, [r.gain for r in rows], [r.low for r in rows], [r.high for r in rows])
    title, labels = "What a copy gains from the unit that it copies", ("distance (bases)", "bits per base gained")
    wide, narrow = (curves_plot([curve], name + end, title, *labels, True, bool(end)) for end in ("", "-phone"))
    caption = (
        f"Units of {found.body.unit_bases:,} bases; control: the unit is shuffled. Above 0, what was read is used. "
        f"{origin(found.source)}"
    )
    yield markup.figure(caption, wide, narrow, title)
    cells = []
    for row in rows:
        gain, low, high = (number(value, True, digits=4) for value in (row.gain, row.low, row.high))
        bits = (in_bits(row.bits_per_base), in_bits(row.control_bits_per_base))
        cells.append((f"{row.distance:,}", f"{row.copies:,}", *bits, gain, f"{low} to {high}"))
    yield markup.table(("Distance", "Copies", "Bits per base", "Control", "Gain", "95 % interval"), cells, 0)


def human_interface(found: Sequence[Found[FirstResult]]) -> Iterator[Html]:
    """What a user types and edits, how long it takes, what mistakes are told."""
    for one in found:
        yield from _first_result(one.body, origin(one.source))


def _first_result(body: FirstResult, where: str) -> Iterator[Html]:
    yield markup.facts(
        [
            ("From a FASTA file to a first evaluated result", f"{compact(body.seconds)} s"),
            ("Size of the genome", f"{body.genome_bases:,} bases"),
            ("Commands typed", f"{len(body.commands)}"),
            ("Values that the user gives", f"{body.edits}"),
            ("Lines of YAML that the user edits", f"{body.yaml_lines}"),
            ("That result, bits per base", in_bits(body.valid_bits_per_base)),
            ("Order-5 Markov model beside it", in_bits(body.markov_bits_per_base)),
        ]
    )
    yield markup.table(("Command", "Seconds"), [(one.command, compact(one.seconds)) for one in body.commands])
    if body.mistakes:
        rows = [(one.mistake, one.message, f"{one.status}", f"{one.lines}") for one in body.mistakes]
        yield markup.table(("Mistake, made on purpose", "What is said", "Exit status", "Lines"), rows, 2)
    yield markup.paragraph(f"{where} About the commands, not about these weights.")
