"""The windows of one split of a shard set, as the order needs them: lengths in memory, or looked up in a large set."""

import numpy as np

from hdna.errors import InputError
from hdna.genome.set_windows import IntArray
from hdna.genome.shard_set import FORMAT, ShardSet
from hdna.genome.window_lengths import LENGTHS, WindowLengths


class WindowTable:
    """Windows numbered shard by shard."""

    def __init__(self, bases: IntArray, shard: IntArray) -> None:
        """`bases` of each window, and the non-decreasing number of its `shard`."""
        self._bases = bases
        self.firsts = np.searchsorted(shard, np.arange(int(shard[-1]) + 2 if shard.size else 1))
        """The first window of each shard, then the number of windows."""
        self.longest = int(bases.max(initial=0))
        self.total_bases = int(bases.sum())

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def crops(self, context_length: int) -> IntArray:
        """Crops of each shard in an epoch."""
        before = np.append(0, np.cumsum(crops_of(self._bases, context_length)))
        return np.diff(before[self.firsts])

    def bases_of(self, shard: int) -> IntArray:
        """Bases of each window of a shard."""
        return self._bases[self.firsts[shard] : self.firsts[shard + 1]]


class IndexedTable(WindowTable):
    """Of a large set: a few numbers in memory for each shard; what else is asked for is read.

    Raises InputError when the set's index is missing, damaged or contradicts itself.
    """

    def __init__(self, shard_set: ShardSet, lengths: WindowLengths, split: str) -> None:
        self._set = shard_set
        self._lengths = lengths
        mine = [number for number, shard in enumerate(shard_set.shards) if shard.split == split]
        self._mine = slice(mine[0], mine[-1] + 1) if mine else slice(0, 0)
        self._shards = shard_set.shards[self._mine]
        self._crops: dict[int, IntArray] = {}
        self.firsts = np.cumsum([0, *(len(shard.samples) for shard in self._shards)])
        self.longest = int(lengths.longest[self._mine].max(initial=0))
        self.total_bases = int(lengths.bases[self._mine].sum())

    def crops(self, context_length: int) -> IntArray:
        """Crops of each shard in an epoch."""
        if context_length not in self._crops:
            self._crops[context_length] = self._lengths.crops(context_length)[self._mine]
        return self._crops[context_length]

    def bases_of(self, shard: int) -> IntArray:
        """Bases of each window of a shard."""
        listed = self._shards[shard]
        bases = np.array([sample.end - sample.start for sample in listed.samples], np.int64)
        for context_length, crops in self._crops.items():
            if crops_of(bases, context_length).sum() != crops[shard]:
                url = self._set.url_of(listed)
                raise InputError(f"{url}: its windows do not have the lengths in {LENGTHS}: {FORMAT.damaged}")
        return bases


def window_table(shard_set: ShardSet, split: str) -> WindowTable:
    """The windows of one split of a shard set, in its manifest's order."""
    if shard_set.lengths:
        return IndexedTable(shard_set, shard_set.lengths, split)
    shards = [shard for shard in shard_set.shards if shard.split == split]
    bases = [sample.end - sample.start for shard in shards for sample in shard.samples]
    numbers = np.repeat(np.arange(len(shards)), [len(shard.samples) for shard in shards])
    return WindowTable(np.array(bases, dtype=np.int64), numbers)


def crops_of(bases: IntArray, context_length: int) -> IntArray:
    """Crops per window: each needs context_length + 1 bases and shares one with its neighbour."""
    return np.maximum(bases - 1, 0) // context_length
