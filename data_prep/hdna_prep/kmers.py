"""A sample of a sequence's k-mers, the same wherever and on whichever strand they occur: what similarity is told by.

A k-mer stands for itself and its reverse complement, by the smaller of the two. One in so many of all possible k-mers
is kept, by a hash of the k-mer alone (FracMinHash: Irber et al., 2022). Of two sequences that differ in a share d of
their bases, a k-mer is the same with probability (1 - d)^K, sampled or not: the share of one's sampled k-mers that the
other has tells the identity 1 - d (Ondov et al., Mash, 2016).
"""

import numpy as np
import numpy.typing as npt

from hdna.genome import alphabet
from hdna.genome.packing import Bytes

K = 21
"""Odd, so that no k-mer is its own reverse complement. Of 3 Gb, a random one is found with probability 0.0014."""

Ints = npt.NDArray[np.int64]
Kmers = npt.NDArray[np.uint64]

_BLOCK = 1 << 16
"""Positions at a time, so that the arrays of a block stay in cache."""
_KMER_BITS = np.uint64(2 * K)
_SHIFT = np.uint64(23)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def sampled_kmers(tokens: Bytes, one_in: int) -> tuple[Ints, Kmers]:
    """Positions at which the sampled k-mers of (length,) tokens begin, ascending, and the k-mers, 2 bits a base.

    One k-mer in `one_in` is sampled. One with anything but A, C, G and T has no part in it.
    """
    limit = np.uint64((2**64 - 1) // one_in)
    positions, kmers = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for start in range(0, tokens.size - K + 1, _BLOCK):
        block = tokens[start : start + _BLOCK + K - 1]
        codes = block - np.uint8(alphabet.A)  # what is below A wraps to more than T
        canonical = _canonical(codes & np.uint8(3))
        kept = np.flatnonzero(_hash(canonical) <= limit)
        unknown = codes > alphabet.T - alphabet.A
        if unknown.any():
            before = np.concatenate(([0], np.cumsum(unknown)))
            kept = kept[before[kept] == before[kept + K]]
        positions.append(kept + start)
        kmers.append(canonical[kept])
    return np.concatenate(positions), np.concatenate(kmers)


def kmers_of_pieces(tokens: Bytes, piece: int, one_in: int) -> tuple[Ints, Kmers]:
    """The sampled k-mers of each piece of `piece` bases, each once: the pieces' numbers, ascending, and the k-mers.

    Once, because a tandem repeat would otherwise count as often as it has copies. Tokens of at most 2^22 pieces.
    """
    positions, kmers = sampled_kmers(tokens, one_in)
    return each_once(positions // piece, kmers)


def each_once(pieces: Ints, kmers: Kmers) -> tuple[Ints, Kmers]:
    """Pairs of a piece's number, below 2^22, and a k-mer, without those that occur again: ascending, piece by piece."""
    keys = np.unique(pieces.astype(np.uint64) << _KMER_BITS | kmers)
    return (keys >> _KMER_BITS).astype(np.int64), keys & ((np.uint64(1) << _KMER_BITS) - np.uint64(1))


def _canonical(codes: Bytes) -> Kmers:
    """For each position, the smaller of its k-mer and the reverse complement; codes 0..3, at least K of them."""
    forward = _words(codes)
    # Backwards in place of every word: the complement's word of the same bases, its first base lowest.
    return np.minimum(forward, _reversed_words(codes ^ np.uint8(3)), out=forward)


def _words(one: Bytes) -> Kmers:
    """The k-mer at each position, its first base in the highest bits.

    Made of words of 1, 2, 4, 8 and 16 bases, each of two of half the length; 21 = 16 + 4 + 1. That takes fewer passes
    than base by base, and most of them over narrow integers.
    """
    two = one[:-1] << 2 | one[1:]
    four = two[:-2] << 4 | two[2:]
    eight = four[:-4].astype(np.uint16) << 8 | four[4:]
    sixteen = eight[:-8].astype(np.uint32) << 16 | eight[8:]
    five = four[:-1].astype(np.uint16) << 2 | one[4:]
    words = sixteen[:-5].astype(np.uint64)
    words <<= np.uint64(10)
    words |= five[16:]
    return words


def _reversed_words(one: Bytes) -> Kmers:
    """The same with the first base in the lowest bits."""
    two = one[1:] << 2 | one[:-1]
    four = two[2:] << 4 | two[:-2]
    eight = four[4:].astype(np.uint16) << 8 | four[:-4]
    sixteen = eight[8:].astype(np.uint32) << 16 | eight[:-8]
    five = one[4:].astype(np.uint16) << 8 | four[:-1]
    words = five[16:].astype(np.uint64)
    words <<= np.uint64(32)
    words |= sixteen[:-5]
    return words


def _hash(kmers: Kmers) -> Kmers:
    """A hash whose highest bits depend on the whole k-mer; neighbouring k-mers, of shifted bits, get unrelated ones."""
    mixed = kmers >> _SHIFT
    mixed ^= kmers
    mixed += np.uint64(1)  # or a run of A, which is 0, would always be kept
    mixed *= _MULTIPLIER
    return mixed
