"""What scores at several contexts say: bits per base with intervals, the gain of the longest, a plot, a sentence.

Shapes as in `context_score`: C context lengths, R blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from hdna.downstream.bootstrap import Estimate, estimate
from hdna.downstream.context import ContextScores
from hdna.downstream.context_score import Tally
from hdna.downstream.metrics import Floats, Ints
from hdna.report.curves import Curve, curves_plot

_STRATA = {"": (slice(0, 2), "all bases"), "repeat_": (slice(1, 2), "repeats"), "unique_": (slice(0, 1), "unique")}
"""By the prefix of their keys: columns of a tally, and what they are called."""

Row = dict[str, Any]


def context_body(scores: ContextScores) -> dict[str, Any]:
    """The entries of context.json.

    `difference` is bits per base at the longest context minus those at the shortest, with paired intervals: below 0,
    longer context helps. All intervals are over blocks of `block_bases` bases.
    """
    contexts, tallies = scores.blocks[0].contexts, scores.tallies
    nats_CR2 = np.concatenate([tally.nats_CR2 for tally in tallies], axis=1)
    whole = Tally(nats_CR2, np.concatenate([tally.bases_CR2 for tally in tallies], axis=1))
    answers = _answers(whole, contexts)
    return {
        "split": scores.split,
        "target_bases": answers["contexts"][0]["bases"],
        "block_bases": scores.blocks[0].block_bases,
        "blocks": nats_CR2.shape[1],
        "verdict": verdict(answers["contexts"], Estimate(**answers["difference"]["all"])),
        **answers,
        "sets": [{"name": name} | _answers(own, contexts) for name, own in zip(scores.names, tallies, strict=True)],
    }


def context_plot(rows: Sequence[Row]) -> str:
    """Bits per base over the context, with bands, as SVG."""
    curves = [
        Curve(
            label,
            [row["context_length"] for row in rows],
            [row[f"{prefix}bits_per_base"] for row in rows],
            [row[f"{prefix}low"] for row in rows],
            [row[f"{prefix}high"] for row in rows],
        )
        for prefix, (_, label) in _STRATA.items()
        if rows[0][f"{prefix}bases"]
    ]
    title = "Bits per base of the same bases by context length"
    return curves_plot(curves, "context", title, "context length (bases)", "bits per base", log_x=True)


def verdict(rows: Sequence[Row], difference: Estimate) -> str:
    """Whether longer context helps, by how much, and whether the interval is clear of zero."""
    change, low, high = difference.value, difference.low, difference.high
    if change is None:
        return "Nothing was scored: the bases are all N or other codes."
    span = f"with {rows[-1]['context_length']:,} bases of context instead of {rows[0]['context_length']:,}"
    amount = f"{abs(change):.4f} bits per base {'less' if change < 0 else 'more'} {span}"
    if low is None or high is None:
        return f"Too few blocks for an interval, so nothing is shown: {amount}."
    interval = f"95 % interval of the difference {low:+.4f} to {high:+.4f}"
    if low <= 0 <= high:
        return f"Longer context is not shown to help: {amount}, {interval}, which includes zero."
    return f"Longer context {'helps' if change < 0 else 'harms'}: {amount}, {interval}, clear of zero."


def _answers(tally: Tally, contexts: Sequence[int]) -> dict[str, Any]:
    """Rows of each context, and the difference of the last and the first, by stratum."""
    rows: list[Row] = [{"context_length": context} for context in contexts]
    difference, blocks_R = {}, np.arange(tally.nats_CR2.shape[1])
    for prefix, (columns, _) in _STRATA.items():
        nats_CR, bases_CR = tally.nats_CR2[..., columns].sum(-1), tally.bases_CR2[..., columns].sum(-1)
        for row, nats_R, bases_R in zip(rows, nats_CR, bases_CR, strict=True):
            found = estimate(partial(_bits, nats_R, bases_R), blocks_R)
            row |= {f"{prefix}bits_per_base": found.value, f"{prefix}low": found.low, f"{prefix}high": found.high}
            row[f"{prefix}bases"] = int(bases_R.sum())
        difference[prefix.rstrip("_") or "all"] = asdict(estimate(partial(_difference, nats_CR, bases_CR), blocks_R))
    return {"contexts": rows, "difference": difference}


def _bits(nats_R: Floats, bases_R: Floats, blocks: Ints) -> float:
    """Bits per base of those blocks."""
    bases = bases_R[blocks].sum()
    return float(nats_R[blocks].sum() / bases / math.log(2)) if bases else math.nan


def _difference(nats_CR: Floats, bases_CR: Floats, blocks: Ints) -> float:
    return _bits(nats_CR[-1], bases_CR[-1], blocks) - _bits(nats_CR[0], bases_CR[0], blocks)
