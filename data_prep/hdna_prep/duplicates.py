"""Finds identical windows in different splits: genomic repeats, or a contig given twice.

A window also equals its reverse complement. Memory: 25 bytes a window.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterator

import numpy as np

from hdna.genome import alphabet
from hdna.genome.packing import Bytes
from hdna.genome.shard import SPLITS, SampleEntry

_SHOWN = 5
_DIGEST_BYTES = 16

Digests = np.dtype([("high", "<u8"), ("low", "<u8")])


class DuplicateWindows:
    """`add` every window of the set at `url`, then `report`."""

    def __init__(self, url: str, sample: Callable[[int], SampleEntry]) -> None:
        self._url = url
        self._sample = sample
        """The window of a number."""
        self._digests = array("B")
        self._numbers = array("q")
        self._splits = array("B")

    def add(self, tokens: Bytes, number: int, split: str) -> None:
        """Record the (length,) tokens of window `number` by a hash that is the same for both strands."""
        one, other = tokens.tobytes(), alphabet.reverse_complement(tokens).tobytes()
        self._digests.frombytes(hashlib.blake2b(min(one, other), digest_size=_DIGEST_BYTES).digest())
        self._numbers.append(number)
        self._splits.append(SPLITS.index(split))

    def report(self) -> Iterator[str]:
        """A line with the number of duplicates across splits, and one for each of the first few pairs."""
        groups = self._groups_across_splits()
        if not groups:
            return
        count = sum(len(group) for group in groups)
        yield f"{self._url}: {count} windows have the same bases as one in another split (either strand):"
        for one, *others in groups[:_SHOWN]:
            other = next(i for i in others if self._splits[i] != self._splits[one])
            yield f"{self._interval(one)} = {self._interval(other)}"
        if len(groups) > _SHOWN:
            yield f"and {len(groups) - _SHOWN} more groups"

    def _interval(self, place: int) -> str:
        sample = self._sample(self._numbers[place])
        return f"{sample.assembly} {sample.contig}:{sample.start}-{sample.end} ({SPLITS[self._splits[place]]})"

    def _groups_across_splits(self) -> list[list[int]]:
        """Numbers of identical windows not all in one split, in the order of adding."""
        digests = np.frombuffer(self._digests, Digests)
        order = np.lexsort((np.arange(digests.size), digests["low"], digests["high"]))
        borders = np.flatnonzero(digests[order][1:] != digests[order][:-1]) + 1
        starts, ends = np.append(0, borders), np.append(borders, digests.size)
        repeated = np.flatnonzero(ends - starts > 1)
        groups = [order[starts[i] : ends[i]].tolist() for i in repeated]
        return sorted(group for group in groups if len({self._splits[i] for i in group}) > 1)
