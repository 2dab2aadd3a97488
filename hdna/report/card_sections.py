"""The sections of a card that tables of a run's files fill: data, training, bits per base, cost."""

from collections.abc import Iterator
from typing import Any

from hdna.config import Stage
from hdna.genome.shard_set import ShardSet
from hdna.report import markdown
from hdna.report.card_subject import Subject, last_names
from hdna.report.ledger import cost_table, explanation
from hdna.report.tables import STAGE_COLUMNS, ladder, stage_rows


def data(subject: Subject) -> Iterator[str]:
    """Nothing if no data are known: an import's recipe has only a placeholder."""
    if not subject.sets:
        return
    yield "## Training data"
    origins = [
        (
            number,
            store.name,
            store.assembly,
            _shown(store.accession),
            _shown(store.contigs and len(store.contigs)),
        )
        for number, found in enumerate(subject.sets)
        if isinstance(found, ShardSet)
        for store in found.provenance.stores
    ]
    if origins:
        yield markdown.table(("Set", "Genome store", "Assembly", "Accession", "Contigs"), origins, 4)
    columns = ("Set", "Name", "Train bases", "Valid bases", "Test bases", "Splits", "Windows left out")
    yield markdown.table(columns, (_set_row(subject, number) for number in range(len(subject.sets))), 2)
    yield markdown.facts(_reading(subject))


def _set_row(subject: Subject, number: int) -> list[object]:
    name, found = last_names(subject.config.data.shards[number], 1), subject.sets[number]
    if isinstance(found, str):
        return [number, f"{name} ({found})", *[_shown(None)] * 5]
    bases = [f"{found.totals[split].bases:,}" if split in found.totals else "0" for split in ("train", "valid", "test")]
    splits = ", ".join(f"{key}: {value}" for key, value in found.provenance.splits.items())
    dropped = found.provenance.dropped
    return [number, name, *bases, splits, f"{dropped.windows:,} ({dropped.rule})"]


def _reading(subject: Subject) -> Iterator[tuple[str, object]]:
    data = subject.config.data
    for number, checksum in sorted(subject.checkpoint.state.data.items()):
        yield f"sha256 of the manifest of set {number}", checksum
    yield "Shares of the sets", ", ".join(map(str, data.weights)) or "by number of bases"
    yield "Crops read on either strand", "yes" if data.reverse_complement else "no"
    yield "N predicted", "no" if data.ignore_n else "yes"
    yield "Weight of soft-masked bases in the loss", data.repeat_weight


def training(subject: Subject) -> Iterator[str]:
    """Nothing if the run is not known."""
    history, config = subject.history, subject.config
    if history is None:
        return
    yield "## Training"
    yield markdown.table(
        ("Stage", "Context length", "Planned until token", "Samples x ranks that share one"),
        (
            (number, _contexts(s), f"{s.until_tokens:,}", f"{s.micro_batch_size} x {s.sequence_parallel}")
            for number, s in enumerate(config.curriculum)
        ),
    )
    optim = config.optim
    yield markdown.facts(
        [
            ("Tokens a step", f"{optim.global_batch_tokens:,}"),
            ("AdamW: peak learning rate, weight decay", f"{optim.learning_rate}, {optim.weight_decay}"),
            ("Precision", config.parallel.precision),
            ("Seed", config.run.seed),
            *((name, history.environment[name]) for name in ("hdna", "torch", "device") if name in history.environment),
        ]
    )
    yield "## Bits per base"
    yield markdown.table(STAGE_COLUMNS, stage_rows(history))
    yield markdown.table(("On the valid split", "Bits per base", "Below its order-0 entropy"), ladder(history))
    scored = history.last_scored
    if scored and scored.valid_bases:
        yield (
            f"The last evaluation scored {scored.valid_bases:,} bases of A, C, G and T of the valid split, at a "
            f"context of {history.scored_context:,}. A uniform guess has 2 bits per base."
        )
    if table := cost_table(history):
        yield "## What it took"
        yield markdown.table(*table)
        yield markdown.text(explanation(history))


def _contexts(stage: Stage) -> str:
    return ", ".join(f"{context:,}" for context in (stage.context_length, *stage.shorter_contexts))


def _shown(value: Any) -> object:  # noqa: ANN401 - whatever a manifest holds
    return "–" if value is None or value == "" else value
