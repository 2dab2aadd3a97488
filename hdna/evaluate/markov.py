"""Composition alone and an order-5 Markov model on the valid split: the baselines a model must beat."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.evaluate.scored_sets import ScoredSet
from hdna.genome import alphabet
from hdna.progress import Advance

ORDER = 5
MAX_TRAIN_BASES = 100_000_000
"""Counting stops here: 4^6 counts are settled long before."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Baselines:
    """Bits per base of simple models on the valid windows that evaluation scores."""

    entropy: float
    """Order-0 entropy of the valid bases themselves: the best any model of composition alone could reach."""
    unigram: float
    """Base frequencies of the train split."""
    markov: float
    """Order-5 Markov model counted on the train split."""
    train_bases: int
    valid_bases: int
    sets: dict[str, "SetBaselines"]
    """By the name of each set that evaluation scores."""

    def to_json(self) -> dict[str, Any]:
        """For baselines.json."""
        return asdict(self)


@dataclass(frozen=True)
class SetBaselines:
    """The same three of one set's valid windows; the models are counted on the train windows of all sets."""

    entropy: float
    unigram: float
    markov: float


def baselines(
    train: WindowReader,
    valid: WindowReader,
    train_sets: Sequence[ScoredSet],
    valid_sets: Sequence[ScoredSet],
    advance: Advance = lambda bases: None,
) -> Baselines | None:
    """Count on the train windows, score on the valid ones; None if either split has nothing to count.

    `advance` is told the bases of each window that is read, `bases_read` in all.
    """
    counted = [_counts(train, own, advance) for own in train_sets]
    scored = {own.name: counts for own in valid_sets if (counts := _counts(valid, own, advance)).any()}
    if not any(counts.any() for counts in counted) or not scored:
        return None
    train_counts, valid_counts = np.sum(counted, axis=0), np.sum(list(scored.values()), axis=0)
    table = train_counts + 1.0  # one pseudocount for each (context, base)
    return Baselines(
        **asdict(_set_baselines(valid_counts, table)),
        train_bases=int(train_counts.sum()),
        valid_bases=int(valid_counts.sum()),
        sets={name: _set_baselines(counts, table) for name, counts in scored.items()},
    )


def _set_baselines(counts: Counts, table: Counts) -> SetBaselines:
    composition = counts.sum(axis=0)
    return SetBaselines(_bits(composition, composition), _bits(composition, table.sum(axis=0)), _bits(counts, table))


def bases_read(reader: WindowReader, sets: Sequence[ScoredSet]) -> int:
    """Bases of a split that `baselines` reads; they are counted if they and those before them are A, C, G or T."""
    return sum(bases for own in sets for _, bases in _windows(reader, own))


def _counts(reader: WindowReader, own: ScoredSet, advance: Advance) -> Counts:
    """(4^ORDER, 4): how often each base follows each context in a set's windows."""
    counts = np.zeros(4 ** (ORDER + 1))
    for window, bases in _windows(reader, own):
        counts += np.bincount(_kmers(reader.read(Crop(window, 0, "+"), bases)[0]), minlength=len(counts))
        advance(bases)
    return counts.reshape(-1, 4)


def _bits(counts: Counts, model: Counts) -> float:
    """Mean bits of the bases in `counts` (..., 4) under the model's counts (..., 4)."""
    seen = counts > 0
    bits = np.log2(model.sum(axis=-1, keepdims=True) / np.where(model > 0, model, 1))
    return float((counts * bits)[seen].sum() / counts.sum())


def _windows(reader: WindowReader, own: ScoredSet) -> Iterator[tuple[int, int]]:
    """Numbers of a set's windows, from the first on, and how many bases of each are read, up to the set's."""
    given = 0
    for window in own.windows.tolist():
        if given >= own.bases:
            return
        bases = min(reader.bases(window), own.bases - given)
        given += bases
        yield window, bases


def _kmers(tokens: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Codes (base 4) of every run of ORDER + 1 bases of A, C, G, T."""
    base = tokens.astype(np.int64) - alphabet.A
    known = (base >= 0) & (base < 4)
    length = len(base) - ORDER
    if length <= 0:
        return np.zeros(0, dtype=np.int64)
    codes = np.zeros(length, dtype=np.int64)
    valid = np.ones(length, dtype=bool)
    for offset in range(ORDER + 1):
        codes = codes * 4 + base[offset : offset + length]
        valid &= known[offset : offset + length]
    return codes[valid]
