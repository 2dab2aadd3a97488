"""The section on deployment: what it takes to make and use the model, and the architecture beside attention."""

from collections.abc import Iterator

from hdna.downstream.benefits.bodies import Attention
from hdna.downstream.benefits.form import Deployment, Found, Judged, Price
from hdna.downstream.benefits.shown import NOT_STATED, compact, device, gib, origin
from hdna.report import markup
from hdna.report.curves import Curve, curves_plot
from hdna.report.markup import Html


def deployment(found: Deployment, subject: Judged) -> Iterator[Html]:
    """Size, cost by megabase, a genome's embedding, attention."""
    yield markup.facts(_facts(found, subject))
    if found.costs:
        yield from _costs(found)
    for number, attention in enumerate(found.attention):
        yield from _attention(attention, f"attention-{number}")


def _facts(found: Deployment, subject: Judged) -> Iterator[tuple[str, str]]:
    yield "Parameters", f"{found.parameters:,}"
    yield "Weights in fp32", gib(found.weights_bytes)
    least = gib(found.least_memory_bytes)
    yield "Least hardware that it was seen to run on", f"{least} of memory" if found.least_memory_bytes else NOT_STATED
    yield "Device of the checkpoint", subject.device or NOT_STATED
    price = found.price_per_hour
    yield "Price of a device for an hour", "not given (--price)" if price is None else f"{price:,.2f}"
    for embedding in found.embedding:
        if (hours := embedding.body.hours_for_3_gigabases) is not None:
            where = device(embedding.source.device, embedding.source.other_device)
            yield "A genome of 3 Gb embedded, extrapolated", f"{compact(hours)} hours ({where})"


def _costs(found: Deployment) -> Iterator[Html]:
    priced = found.price_per_hour is not None
    columns = ["Work", "Device", "Date", "Seconds", "Device hours", "Megabases", "Seconds per megabase", "Peak memory"]
    columns += ["Price", "Price per megabase"] if priced else []
    yield markup.table(columns, [_cost(one, priced) for one in found.costs], 3)
    note = "Seconds are wall time, device hours those of all workers together; loading counts, so small jobs look dear."
    if priced:
        note += " Work on another device has no price here: its hour may cost something else."
    yield markup.paragraph(note)


def _cost(one: Price, priced: bool) -> tuple[str, ...]:
    numbers = (
        compact(one.seconds),
        compact(one.device_seconds / 3600),
        compact(one.bases / 1e6),
        compact(one.seconds_per_megabase),
        gib(one.peak_memory_bytes),
    )
    prices = (compact(one.price), compact(one.price_per_megabase)) if priced else ()
    where = device(one.device, one.other_device)
    return f"{one.kind}: {one.work}", where, one.date or NOT_STATED, *numbers, *prices


def _attention(found: Found[Attention], name: str) -> Iterator[Html]:
    rows, setting = found.body.rows, found.body.setting
    curve = Curve("attention / HyenaDNA", [row.context_length for row in rows], [row.ratio for row in rows])
    title = "Attention's time beside HyenaDNA's"
    labels = ("context length", "times as long")
    wide, narrow = (curves_plot([curve], name + end, title, *labels, True, bool(end)) for end in ("", "-phone"))
    precision = "bf16" if setting.bf16 else "fp32"
    caption = (
        f"Forward and backward pass, {setting.layers} layers of width {setting.width:,}, {precision}: the "
        f"architecture, not these weights. {origin(found.source)}"
    )
    yield markup.figure(caption, wide, narrow, title)
    cells = [
        (f"{row.context_length:,}", *(compact(n) for n in (row.hyena_seconds, row.attention_seconds, row.ratio)))
        for row in rows
    ]
    yield markup.table(("Context", "HyenaDNA, s", "Attention, s", "Times as long"), cells, 0)
