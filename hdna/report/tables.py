"""Tables that the page about a run and the card of its weights share: stages, and bits per base of simple models."""

from collections.abc import Iterator

from hdna.report.history import History
from hdna.report.numbers import MINUS, NONE, duration

__all__ = ["NONE", "STAGE_COLUMNS", "UNIFORM_BITS", "in_bits", "ladder", "signed", "stage_rows"]

UNIFORM_BITS = 2.0
"""Bits per base of a model that gives A, C, G and T the same probability."""

STAGE_COLUMNS = (
    "Stage",
    "Context length",
    "Steps",
    "Tokens",
    "Time",
    "Last train bits per base",
    "Last valid bits per base",
)


def ladder(history: History) -> list[tuple[str, str, str]]:
    """Simple models, the weakest first, the weights that the run began with, and its stages: always in this order."""
    baselines, entropy = history.baselines, history.baselines.get("entropy")
    names = {"unigram": "unigram", "entropy": "order-0 entropy of the split", "markov": "order-5 Markov"}
    entries = [
        ("uniform guess", UNIFORM_BITS),
        *((name, baselines[key]) for key, name in names.items() if key in baselines),
    ]
    if "source" in baselines:
        context = baselines.get("source_context_length", 0)
        entries.append((f"the weights it began with (context {context:,.0f})", baselines["source"]))
    entries += [
        (f"this run, stage {stage.index} (context {stage.context_length:,})", stage.valid_bits_per_base)
        for stage in history.stages
        if stage.valid_bits_per_base is not None
    ]
    return [(name, in_bits(bits), NONE if entropy is None else signed(entropy - bits)) for name, bits in entries]


def stage_rows(history: History) -> Iterator[tuple[str, ...]]:
    """One for each context of each stage that has begun, under STAGE_COLUMNS."""
    for stage in history.stages:
        for part in stage.contexts:
            yield (
                str(stage.index),
                f"{part.context_length:,}",
                f"{part.steps:,}",
                f"{part.tokens:,}",
                duration(part.seconds),
                in_bits(part.bits_per_base),
                in_bits(part.valid_bits_per_base),
            )


def in_bits(value: float | None, digits: int = 4) -> str:
    """Bits per base, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def signed(value: float, digits: int = 4) -> str:
    """A difference in bits per base, with the minus sign of print."""
    return f"{value + 0.0:.{digits}f}".replace("-", MINUS)
