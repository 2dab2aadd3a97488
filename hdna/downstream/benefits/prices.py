"""What it took to pretrain, adapt, score and embed: measured times, per megabase, and their price."""

from collections.abc import Iterator

from hdna.downstream.benefits.form import Price, Source, Work
from hdna.downstream.benefits.gather import Gathered
from hdna.report.history import History
from hdna.report.ledger import cost
from hdna.run.files import METRICS, WEIGHTS_FROM

_PER_HOUR = 3600


def prices(found: Gathered, history: History | None, price_per_hour: float | None) -> Iterator[Price]:
    """The run's own work first. `price_per_hour`: of one device like the checkpoint's; others have no price here."""
    if history is not None:
        yield from _pretraining(history, price_per_hour)
    works: list[tuple[str, Work, Source]] = [
        *((f"learn and judge {f.body.task} by {f.body.method}", "adapted", f.source) for f in found.tasks),
        *(("bits per base by context", "scored", f.source) for f in found.context),
        *((f"{f.body.alleles:,} alleles of variants", "scored", f.source) for f in found.variants),
        *((f"{f.body.sequences:,} sequences", "embedded", f.source) for f in found.embedding),
    ]
    for work, kind, source in works:
        seconds = source.seconds or 0.0
        paid = None if source.other_device else price_per_hour
        yield _price(work, kind, source, seconds, seconds, paid)


def per_megabase(amount: float | None, bases: int) -> float | None:
    """Of a million bases; None where there is none, or the amount is not known."""
    return amount / bases * 1e6 if bases and amount is not None else None


def _pretraining(history: History, price_per_hour: float | None) -> Iterator[Price]:
    """From the run's ledger; nothing for runs of versions that recorded no times."""
    steps = [step for step in history.steps if step.seconds is not None and step.workers is not None]
    if not steps:
        return
    took, last = cost(steps, None), steps[-1]
    memory = max((step.memory_gib for step in steps if step.memory_gib is not None), default=0.0)
    dtype = history.config.parallel.precision if history.config else ""
    begun_from = WEIGHTS_FROM in history.environment
    source = Source(
        METRICS,
        "metrics",
        last.time or "",
        history.environment.get("device", ""),
        False,
        history.environment.get("hdna", ""),
        dtype,
        took.seconds,
        last.tokens,
        int(memory * 2**30),
    )
    work = "this run, which began from other weights" if begun_from else "this run, from random weights"
    yield _price(work, "pretrained", source, took.seconds, took.worker_seconds, price_per_hour)


def _price(
    work: str, kind: Work, source: Source, seconds: float, device_seconds: float, price_per_hour: float | None
) -> Price:
    price = None if price_per_hour is None else device_seconds / _PER_HOUR * price_per_hour
    return Price(
        work,
        kind,
        source.file,
        seconds,
        device_seconds,
        source.bases,
        per_megabase(device_seconds, source.bases),
        source.peak_memory_bytes,
        price,
        per_megabase(price, source.bases),
        source.device,
        source.other_device,
        source.date,
    )
