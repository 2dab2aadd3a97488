"""A genome whose sequence around given positions is shuffled, its dinucleotides kept (Altschul and Erickson, 1985).

What a model says of variants there can come only from what was kept: the trinucleotide of each, and composition.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Ints
from hdna.downstream.variants.edits import Tokens
from hdna.genome import alphabet
from hdna.genome.hashing import hash_int
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore


class ShuffledGenome:
    """Reads a genome as if it were shuffled between the positions that are kept, each with its two neighbours."""

    def __init__(self, genome: GenomeStore, kept: Mapping[str, Ints]) -> None:
        self._genome = genome
        self._kept = kept
        """By contig, ascending."""

    def read(self, interval: Interval) -> Tokens:
        """Tokens of an interval; the same place gets the same ones in windows that begin and end at the same bases."""
        tokens = self._genome.read(Interval(interval.contig, interval.start, interval.end))
        kept = self._kept[interval.contig]
        inside = kept[np.searchsorted(kept, interval.start) : np.searchsorted(kept, interval.end)] - interval.start
        # A shuffle keeps a stretch's first and last base: those that neighbour a kept position.
        starts, ends = np.append(0, inside + 1), np.append(inside, len(tokens))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            for first, last in _known_stretches(tokens[start:end]):
                rng = np.random.default_rng(hash_int(interval.start + start + first))
                stretch = tokens[start + first : start + last]
                stretch[:] = shuffled(stretch - np.uint8(alphabet.A), rng) + np.uint8(alphabet.A)
        return tokens if interval.strand == "+" else alphabet.reverse_complement(tokens)


def shuffled(codes: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A sequence of codes 0..3 with the same dinucleotides, first and last base, each such sequence equally likely.

    A walk that takes every transition once: the last one out of each base is drawn first, such that all lead to the
    last base, the others in any order.
    """
    if len(codes) < 4:
        return codes
    following = [rng.permutation(codes[1:][codes[:-1] == base]).tolist() for base in range(4)]
    end = int(codes[-1])
    while not _lead_to(end, following):
        following = [rng.permutation(codes).tolist() for codes in following]
    walk = [int(codes[0])]
    taken = [iter(codes) for codes in following]
    for _ in range(len(codes) - 1):
        walk.append(next(taken[walk[-1]]))
    return np.array(walk, np.uint8)


def _lead_to(end: int, following: list[list[int]]) -> bool:
    """Whether the last transitions out of all bases lead to `end`."""
    for base in range(4):
        for _ in range(4):
            if base == end or not following[base]:
                break
            base = following[base][-1]
        else:
            return False
    return True


def _known_stretches(tokens: Tokens) -> list[tuple[int, int]]:
    """Where A, C, G and T stand without a break."""
    known = np.concatenate(([False], (tokens >= alphabet.A) & (tokens <= alphabet.T), [False]))
    borders = np.flatnonzero(known[1:] != known[:-1]).tolist()
    return list(zip(borders[::2], borders[1::2], strict=True))
