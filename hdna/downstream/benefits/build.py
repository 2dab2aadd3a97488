"""From a checkpoint and the evidence about it to the benefit report as values."""

from collections.abc import Sequence

from hdna import __version__
from hdna.downstream.benefits.comparisons import comparisons, label_curves
from hdna.downstream.benefits.form import (
    FORMAT,
    VERSION,
    Benefits,
    Deployment,
    Emergent,
    Judged,
    Modality,
    Performance,
    Price,
)
from hdna.downstream.benefits.gather import Gathered
from hdna.downstream.benefits.missing import IN_CONTEXT, missing
from hdna.downstream.benefits.prices import prices
from hdna.downstream.benefits.verdict import verdict
from hdna.model.flops import parameter_count
from hdna.report.card_subject import Subject

_ACCEPTS = "DNA sequence of A, C, G, T and N, one token a base"
_FP32_BYTES = 4


def build(found: Gathered, subject: Subject, run: str, out: str, price_per_hour: float | None) -> Benefits:
    """The report; `run` and `out` as given to the command, whose words the missing evidence is made by."""
    checkpoint, history = subject.checkpoint, subject.history
    compared, curves = list(comparisons(found.tasks)), list(label_curves(found.tasks))
    lacking = missing(found, history, run, out)
    tokens = checkpoint.state.tokens
    return Benefits(
        FORMAT,
        VERSION,
        __version__,
        _judged(found, subject),
        list(verdict(found, history, tokens, compared, curves, len(lacking))),
        Performance(
            found.context,
            history.valid_bits_per_base if history else None,
            history.baselines.get("markov") if history else None,
            found.tasks,
            compared,
        ),
        curves,
        _deployment(found, subject, price_per_hour),
        Emergent(found.variants, [one for one in found.tasks if one.body.method in IN_CONTEXT], found.needle),
        Modality(applicable=False, accepts=[_ACCEPTS]),
        found.first_results,
        lacking,
        found.sources,
        found.other_weights,
    )


def _judged(found: Gathered, subject: Subject) -> Judged:
    checkpoint, model = subject.checkpoint, subject.config.model
    state = checkpoint.state
    parameters = parameter_count(model)
    return Judged(checkpoint.url, state.step, state.tokens, checkpoint.checksum, parameters, model.l_max, found.device)


def _deployment(found: Gathered, subject: Subject, price_per_hour: float | None) -> Deployment:
    parameters = parameter_count(subject.config.model)
    costs = list(prices(found, subject.history, price_per_hour))
    return Deployment(
        parameters,
        parameters * _FP32_BYTES,
        price_per_hour,
        costs,
        _least_memory(costs),
        found.embedding,
        found.attention,
    )


def _least_memory(costs: Sequence[Price]) -> int | None:
    used = [one.peak_memory_bytes for one in costs if one.kind in ("scored", "embedded") and one.peak_memory_bytes]
    return min(used, default=None)
