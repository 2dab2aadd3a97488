"""The taxonomy of foundation models by Wornow et al. (arXiv 2303.12961), filled from what a run and its data record.

What is not recorded is said to be unknown: openness above all, which no file of a run decides.
"""

from collections.abc import Iterator

from hdna.genome.shard_set import ShardSet
from hdna.model.flops import parameter_count
from hdna.report.card_subject import Subject, last_names
from hdna.report.ledger import cost

_UNKNOWN = "unknown"
_MANY = 5
"""Assemblies that are named."""


def taxonomy(subject: Subject) -> Iterator[tuple[str, str]]:
    """Names and values, one for each of its questions."""
    model = subject.config.model
    yield "Source of the data", _sources(subject)
    yield "Size of the data", _size(subject)
    yield (
        "Architecture",
        f"HyenaDNA: {model.n_layer:,} causal convolutional blocks of width {model.d_model:,}, "
        f"{parameter_count(model):,} parameters, contexts of at most {model.l_max:,} bases; one token is one base",
    )
    yield "Objective", "to predict the next base, without labels"
    yield "Code", "open: hdna, Apache-2.0"
    yield "Weights", f"{_UNKNOWN}: whoever publishes them sets their licence"
    yield "Data", _openness(subject)
    yield "Tasks", "none: the run evaluated bits per base alone; 'hdna eval report' judges tasks"
    yield "Compute", _compute(subject)


def _sources(subject: Subject) -> str:
    if subject.imported is not None:
        return f"{_UNKNOWN}: imported weights do not say"
    assemblies = [store.assembly for found in _known(subject) for store in found.provenance.stores]
    more = f" and {len(assemblies) - _MANY:,} more" if len(assemblies) > _MANY else ""
    named = ", ".join(assemblies[:_MANY]) + more
    unknown = len(subject.sets) - len(_known(subject))
    begun_from = subject.begun_from
    parts = [
        f"genomes: {named}" if named else "",
        f"{unknown} shard set(s) that were not reached" if named and unknown else "",
        f"and whatever {last_names(begun_from.partition(', step ')[0], 3)} was trained on" if begun_from else "",
    ]
    return ", ".join(part for part in parts if part) if named else _UNKNOWN


def _size(subject: Subject) -> str:
    known, tokens = _known(subject), subject.checkpoint.state.tokens
    seen = f"{tokens:,} tokens seen" if tokens else f"tokens seen: {_UNKNOWN}"
    if not known or len(known) < len(subject.sets):
        return f"{_UNKNOWN}; {seen}"
    bases = sum(found.totals["train"].bases for found in known if "train" in found.totals)
    return f"{bases:,} bases in the train split; {seen}"


def _openness(subject: Subject) -> str:
    stores = [store for found in _known(subject) for store in found.provenance.stores]
    accessions = [store.accession for store in stores if store.accession]
    if not stores or len(accessions) < len(stores):
        return f"{_UNKNOWN}: {len(accessions)} of {len(stores)} genomes have an accession recorded"
    return "public archives: every genome has an accession, below"


def _compute(subject: Subject) -> str:
    history = subject.history
    took = cost(history.steps, history.config) if history else None
    if history is None or took is None or took.worker_seconds <= 0:
        return _UNKNOWN
    device = history.environment.get("device", "device unknown")
    flops = "" if took.flops is None else f", {took.flops:.2e} model FLOPs"
    return f"{took.worker_seconds / 3600:,.2f} worker hours ({device}){flops}"


def _known(subject: Subject) -> list[ShardSet]:
    return [found for found in subject.sets if isinstance(found, ShardSet)]
