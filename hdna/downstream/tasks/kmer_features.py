"""What the simple baselines see of a sequence: how often it has each k-mer, or the letters around a base.

Shapes: N rows, M bases of all rows together, E entries of a sparse matrix.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Ints
from hdna.genome import alphabet
from hdna.genome.packing import Bytes

_UNKNOWN = 4
"""Code of what is not A, C, G or T, and of what lies between rows."""


def kmer_counts(tokens: Sequence[Bytes], k: int) -> tuple[Ints, Ints, Ints]:
    """The k-mers of each row, on the strand that it is given: (E,) row, k-mer (0 to 4^k - 1) and how often it occurs.

    A k-mer with an unknown base has no part in it.
    """
    codes, row_M = _joined(tokens, k - 1)
    words, known = np.zeros(len(codes) - k + 1, np.int64), np.ones(len(codes) - k + 1, np.bool_)
    for place in range(k):
        part = codes[place : place + len(words)]
        words = 4 * words + part
        known &= part != _UNKNOWN
    kmers = np.int64(4**k)
    keys, counts = np.unique(row_M[: len(words)][known] * kmers + words[known], return_counts=True)
    return keys // kmers, keys % kmers, counts


def letters_around(tokens: Sequence[Bytes], reach: int) -> Bytes:
    """(M, 4 (2 reach + 1)) for each base the letters from `reach` before it to `reach` after it, one of 4 set each."""
    codes, _ = _joined(tokens, reach)
    own = np.flatnonzero(_is_own(tokens, reach)) + reach
    around = np.concatenate((np.full(reach, _UNKNOWN, np.uint8), codes))[own[:, None] + np.arange(-reach, reach + 1)]
    is_letter: Bytes = (around[..., None] == np.arange(4)).reshape(len(own), -1).astype(np.uint8)
    return is_letter


def _joined(tokens: Sequence[Bytes], between: int) -> tuple[Bytes, Ints]:
    """Codes 0..3 of all rows, each followed by so many unknown ones; and the row of each."""
    parts, gap = list[Bytes](), np.full(between, _UNKNOWN, np.uint8)
    for own in tokens:
        codes = own - np.uint8(alphabet.A)  # what is below A wraps to more than T
        parts += [np.minimum(codes, np.uint8(_UNKNOWN)), gap]
    return np.concatenate(parts), np.repeat(np.arange(len(tokens)), [len(own) + between for own in tokens])


def _is_own(tokens: Sequence[Bytes], between: int) -> npt.NDArray[np.bool_]:
    """Which of the joined positions are bases of rows."""
    return np.concatenate([np.arange(len(own) + between) < len(own) for own in tokens])
