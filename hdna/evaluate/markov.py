"""Composition alone and an order-5 Markov model on the valid split: the baselines a model must beat."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.genome import alphabet

ORDER = 5
MAX_TRAIN_BASES = 100_000_000
"""Counting stops here: 4^6 counts are settled long before."""


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

    def to_json(self) -> dict[str, float | int]:
        """For baselines.json."""
        return asdict(self)


def baselines(train: WindowReader, valid: WindowReader, max_valid_bases: int) -> Baselines | None:
    """Count on the train windows, score on the valid ones; None if either split has nothing to count."""
    if not len(train) or not len(valid):
        return None
    counts = np.ones(4 ** (ORDER + 1))  # one pseudocount for each (context, base)
    train_bases = 0
    for tokens in _windows(train, MAX_TRAIN_BASES):
        kmers = _kmers(tokens)
        counts += np.bincount(kmers, minlength=len(counts))
        train_bases += len(kmers)
    table = counts.reshape(-1, 4)
    valid_counts = np.zeros_like(table)
    for tokens in _windows(valid, max_valid_bases):
        valid_counts += np.bincount(_kmers(tokens), minlength=len(counts)).reshape(-1, 4)
    if not valid_counts.any():
        return None
    composition = valid_counts.sum(axis=0)
    return Baselines(
        _bits(composition, composition),
        _bits(composition, table.sum(axis=0)),
        _bits(valid_counts, table),
        train_bases,
        int(valid_counts.sum()),
    )


def _bits(counts: npt.NDArray[np.float64], model: npt.NDArray[np.float64]) -> float:
    """Mean bits of the bases in `counts` (..., 4) under the model's counts (..., 4)."""
    seen = counts > 0
    bits = np.log2(model.sum(axis=-1, keepdims=True) / np.where(model > 0, model, 1))
    return float((counts * bits)[seen].sum() / counts.sum())


def _windows(reader: WindowReader, max_bases: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Tokens of whole windows, from the first on, up to `max_bases` bases."""
    given = 0
    for window in range(len(reader)):
        if given >= max_bases:
            return
        bases = min(reader.bases(window), max_bases - given)
        given += bases
        yield reader.read(Crop(window, 0, "+"), bases)[0]


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
