"""Where a method is good: the main figure by GC, by length and by chromosome."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Floats
from hdna.downstream.tasks.figures import Figure, Judged
from hdna.downstream.tasks.judgement import compare
from hdna.downstream.tasks.problem import Rows
from hdna.genome import alphabet

MIN_ROWS = 30
"""Strata of fewer are left out: their intervals say nothing."""

Flags = npt.NDArray[np.bool_]


def strata(
    test: Rows,
    chromosomes: Sequence[str] | None,
    judged: Judged,
    scores: Mapping[str, Floats],
    figures: Mapping[str, Figure],
    draws: int | None = None,
) -> dict[str, dict[str, Any]]:
    """{"gc" | "length" | "chromosome": {stratum: {"rows", "metrics": {method: figures}}}}.

    GC and length in thirds of the rows; a set whose rows are all alike in one has no such strata.
    """
    lengths = np.array([len(own) for own in test.tokens], np.float64)
    found: dict[str, dict[str, Any]] = {}
    by = {
        "gc": list(_thirds(np.array([_gc(own) for own in test.tokens]), ".3f")),
        "length": list(_thirds(lengths, ",.0f")),
        "chromosome": [] if chromosomes is None else list(_each(np.array(chromosomes))),
    }
    for what, parts in by.items():
        for name, rows in parts:
            if rows.sum() >= MIN_ROWS:
                own = compare(judged.of_rows(rows), scores, figures, draws)
                found.setdefault(what, {})[name] = {"rows": int(rows.sum()), "metrics": own["metrics"]}
    return found


def _gc(tokens: npt.NDArray[np.uint8]) -> float:
    """Share of G and C among the known bases."""
    known = int(np.count_nonzero((tokens >= alphabet.A) & (tokens <= alphabet.T)))
    return int(np.count_nonzero((tokens == alphabet.C) | (tokens == alphabet.G))) / max(known, 1)


def _thirds(values: Floats, form: str) -> Iterator[tuple[str, Flags]]:
    """Thirds of the rows by a value; equal values fall together, so that there may be fewer."""
    part = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")
    numbers = np.unique(part).tolist()
    for number in numbers if len(numbers) > 1 else ():
        rows = part == number
        yield f"{float(values[rows].min()):{form}} to {float(values[rows].max()):{form}}", rows


def _each(names: npt.NDArray[Any]) -> Iterator[tuple[str, Flags]]:
    for name in np.unique(names):
        yield str(name), names == name
