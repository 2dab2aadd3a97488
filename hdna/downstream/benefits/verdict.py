"""What the evidence amounts to, in plain words, whichever way it falls; silence about what was not measured."""

from collections.abc import Iterator, Sequence

from hdna.downstream.benefits.bodies import Variants
from hdna.downstream.benefits.comparisons import UNKNOWN, main_metric
from hdna.downstream.benefits.form import Comparison, LabelCurve
from hdna.downstream.benefits.gather import Gathered
from hdna.downstream.benefits.missing import IN_CONTEXT
from hdna.downstream.benefits.shown import as_estimate, in_words
from hdna.report import page
from hdna.report.history import History

_SMALLEST_PUBLISHED = 2.6e9
"""Tokens: 10,000 steps of 256 samples of 1,024, the least by the paper's table A.1 for the models of context 1k."""
_CHANCE = 0.5
"""AUROC of scores that know nothing."""


def verdict(
    found: Gathered,
    history: History | None,
    tokens: int,
    compared: Sequence[Comparison],
    curves: Sequence[LabelCurve],
    missing: int,
) -> Iterator[str]:
    """Sentences, the most general first."""
    if 0 < tokens < _SMALLEST_PUBLISHED:
        yield (
            f"It has seen {tokens:,} tokens, {tokens / _SMALLEST_PUBLISHED:.2%} of what the smallest published "
            "HyenaDNA has (at least 2.6 billion: 10,000 steps of 256 samples of 1,024): expect little of it."
        )
    if history is not None:
        yield page.verdict(history)
    yield from (one.body.verdict for one in found.context if one.body.verdict)
    yield from _tasks(found, compared)
    if curves:
        yield _labels(curves)
    yield from _emergent(found)
    if missing:
        yield f"{missing} piece(s) of evidence are missing: nothing is concluded about what they would show."


def _tasks(found: Gathered, compared: Sequence[Comparison]) -> Iterator[str]:
    if not found.tasks:
        yield "No labelled task was tried: whether it is of use for any is not known."
    for baseline in dict.fromkeys(one.baseline for one in compared):
        own = [one for one in compared if one.baseline == baseline]
        won, lost = (sum(one.winner == who for one in own) for who in ("model", "baseline"))
        noun = "tasks" if len({one.task for one in own}) == len(own) else "tasks and methods"
        yield (
            f"Against {baseline} it wins {won} of {len(own)} {noun} and loses {lost}; {len(own) - won - lost} are "
            "undecided, because the interval of the difference holds zero or there is none."
        )


def _labels(curves: Sequence[LabelCurve]) -> str:
    shares = [curve.saved.share if curve.saved else UNKNOWN for curve in curves]
    clear = sum(share.low is not None and share.low > 0 for share in shares)
    return (
        f"Pretraining saves labels at equal quality in {clear} of {len(curves)} learning curves, with an interval "
        "clear of zero."
    )


def _emergent(found: Gathered) -> Iterator[str]:
    for one in found.variants:
        yield from _variants(one.body)
    for body in (one.body for one in found.tasks if one.body.method in IN_CONTEXT):
        figure = body.metrics.get(main_metric(body), UNKNOWN)
        yield f"It learns {body.task} by {body.method} to {main_metric(body)} {in_words(figure)}."
    yield from (one.body.verdict for one in found.needle if one.body.verdict)


def _variants(body: Variants) -> Iterator[str]:
    auroc = as_estimate((body.labelled or {}).get("auroc"))
    if auroc.value is None:
        return
    if auroc.low is None or auroc.high is None or auroc.low <= _CHANCE <= auroc.high:
        judged = "not shown to differ from chance"
    else:
        judged = "better than chance" if auroc.low > _CHANCE else "worse than chance"
    yield f"Its scores of labelled variants have AUROC {in_words(auroc)}: {judged}."
