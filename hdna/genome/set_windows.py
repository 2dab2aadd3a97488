"""The windows of many shards as arrays, 29 bytes each, and what must hold among all of them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hdna.genome.shard import SampleEntry, ShardEntry

IntArray = npt.NDArray[np.int64]
_WINDOW = np.dtype([("lane", "<i4"), ("start", "<i8"), ("end", "<i8"), ("split", "i1"), ("key", "<i8")])
_SPLITS = ("test", "train", "valid")
"""In the order of their names."""


class SetWindows:
    """The windows of `shards`, in their order. A lane is a contig of an assembly."""

    def __init__(self, shards: Sequence[ShardEntry]) -> None:
        self._shards = shards
        self._firsts = np.cumsum([0, *(len(shard.samples) for shard in shards)])
        self._rows = np.empty(int(self._firsts[-1]), _WINDOW)
        lanes: dict[tuple[str, str], int] = {}
        for shard, (first, end) in zip(shards, pairwise(self._firsts.tolist()), strict=True):
            self._rows[first:end] = _rows(shard.samples, _SPLITS.index(shard.split), lanes)
        self._lanes = sorted(lanes)
        rank = np.argsort([lanes[lane] for lane in self._lanes])
        self._rows["lane"] = rank[self._rows["lane"]]
        fields = ("key", "split", "end", "start", "lane")
        self._order = np.lexsort([self._rows[field] for field in fields])

    def sample(self, number: int) -> SampleEntry:
        """A window's entry."""
        shard = self._shard_of(number)
        return self._shards[shard].samples[number - int(self._firsts[shard])]

    def repeated_keys(self) -> Iterator[str]:
        """Keys of more than one window."""
        keys = self._rows["key"]
        order = np.argsort(keys, kind="stable")
        for place in np.sort(order[1:][keys[order[1:]] == keys[order[:-1]]]).tolist():
            yield f"{self._shards[self._shard_of(place)].url}: key {self._key(place)} is used twice"

    def overlaps(self) -> Iterator[str]:
        """Neighbours of one split share one base; no base belongs to two splits. Windows have two bases or more."""
        one, other = self._order[:-1], self._order[1:]
        rows = self._rows
        free = rows["end"][one] - (rows["split"][one] == rows["split"][other])
        overlap = (rows["lane"][one] == rows["lane"][other]) & (rows["start"][other] < free)
        for a, b in zip(one[overlap].tolist(), other[overlap].tolist(), strict=True):
            assembly, contig = self._lanes[rows["lane"][a]]
            yield f"windows {self._name(a)} and {self._name(b)} overlap on {contig} of {assembly}"

    def distinct(self) -> list[IntArray]:
        """Bases of each shard's windows, not counting one shared with the next window; without overlaps."""
        one, other = self._order[:-1], self._order[1:]
        rows = self._rows
        bases: IntArray = rows["end"] - rows["start"]
        follows = (rows["lane"][one] == rows["lane"][other]) & (rows["split"][one] == rows["split"][other])
        bases[one] -= follows & (rows["start"][other] == rows["end"][one] - 1)
        return [bases[first:end] for first, end in pairwise(self._firsts.tolist())]

    def wrong_bases(self) -> Iterator[str]:
        """Shards that do not say how many distinct bases they have."""
        for shard, bases in zip(self._shards, self.distinct(), strict=True):
            if shard.bases != bases.sum():
                yield f"{shard.url}: its {shard.bases} bases are not what its windows add up to"

    def _shard_of(self, number: int) -> int:
        return int(np.searchsorted(self._firsts, number, side="right")) - 1

    def _key(self, place: int) -> str:
        return f"w{str(self._rows['key'][place])[1:]}"

    def _name(self, place: int) -> str:
        return f"{self._key(place)} ({_SPLITS[self._rows['split'][place]]})"


def _rows(samples: Sequence[SampleEntry], split: int, lanes: dict[tuple[str, str], int]) -> npt.NDArray[np.void]:
    rows = (
        (
            lanes.setdefault((sample.assembly, sample.contig), len(lanes)),
            sample.start,
            sample.end,
            split,
            int(f"1{sample.key[1:]}"),  # w01 and w1 are two keys
        )
        for sample in samples
    )
    return np.fromiter(rows, _WINDOW, len(samples))
