"""Reads the crops that the order asks for, from memory-mapped shards. The door to WebDataset.

A shard is walked once, when it is first needed, with the WebDataset library's own reader: it must hold just the samples
its manifest lists. The library gets an open file, never a URL (it would run `pipe:` ones), and decodes nothing.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hdna.data.batch import Bases
from hdna.data.cache import ShardCache
from hdna.data.order import Crop, window_table
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.shard import MASK_FIELD, META_FIELD, SEQUENCE_FIELD, SampleEntry, ShardEntry, ShardSet

Item = TypeVar("Item")
_MAPPED_SHARDS = 512
"""Each holds a file descriptor, of which a process has 1,024 by default."""


class _Window(NamedTuple):
    shard_set: ShardSet
    shard: ShardEntry
    sample: SampleEntry


class WindowReader:
    """The windows of one split of one or more shard sets, numbered through all of them in the manifests' order."""

    def __init__(self, shard_sets: Sequence[ShardSet], split: str, cache: ShardCache) -> None:
        self._cache = cache
        self._windows = [
            _Window(shard_set, shard, sample)
            for shard_set in shard_sets
            for shard in shard_set.shards
            if shard.split == split
            for sample in shard.samples
        ]
        self._shards = {(w.shard_set.url, w.shard.url): (w.shard_set, w.shard) for w in self._windows}
        self.tables = [window_table(shard_set, split) for shard_set in shard_sets]
        self._map = lru_cache(maxsize=_MAPPED_SHARDS)(self._mapped)

    def __len__(self) -> int:
        return len(self._windows)

    def bases(self, window: int) -> int:
        """Bases of a window."""
        sample = self._windows[window].sample
        return sample.end - sample.start

    def read(self, crop: Crop, bases: int, part: slice | None = None) -> Bases:
        """Tokens and soft mask of a crop of `bases` bases, on its strand; of `part`, counted along the strand, if any.

        Raises InputError naming the shard when it is missing, damaged or not what its manifest lists, IndexError past
        the window's end.
        """
        shard_set, shard, sample = self._windows[crop.window]
        if crop.offset + bases > sample.end - sample.start:
            raise IndexError(f"{crop} of {bases} bases ends past its window of {sample.end - sample.start}")
        data = self._map(shard_set.url, shard.url)
        first, stop = (part.start, part.stop) if part else (0, bases)
        if crop.strand == "-":  # the whole crop is reversed: its first part is the last on the other strand
            first, stop = bases - stop, bases - first
        tokens, mask = _bytes_at(data, sample.offset + crop.offset, first, stop), None
        if sample.mask_offset is not None:
            mask = _bytes_at(data, sample.mask_offset + crop.offset, first, stop) != 0
        if crop.strand == "-":
            return alphabet.reverse_complement(tokens), None if mask is None else mask[::-1]
        return tokens, mask

    def _mapped(self, set_url: str, shard_url: str) -> npt.NDArray[np.uint8]:
        shard_set, shard = self._shards[set_url, shard_url]
        path = self._cache.fetch(shard_set, shard)
        _check_members(path, shard_set.place(shard), shard)
        return np.memmap(path, dtype=np.uint8, mode="r")


def prefetched(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The same items, made by a thread up to `ahead` of the consumer; an error surfaces where its item would."""
    iterator = iter(items)

    def following() -> list[Item]:
        return list(islice(iterator, 1))

    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(following) for _ in range(ahead)]
        while item := waiting.pop(0).result():
            waiting.append(pool.submit(following))
            yield item[0]


def _bytes_at(data: npt.NDArray[np.uint8], origin: int, first: int, stop: int) -> npt.NDArray[np.uint8]:
    return data[origin + first : origin + stop]


def _check_members(path: Path, place: str, shard: ShardEntry) -> None:
    os.environ.setdefault("WDS_SECURE", "1")
    from webdataset.tariterators import tar_file_iterator

    listed = {f"{s.key}.{field}" for s in shard.samples for field in (META_FIELD, SEQUENCE_FIELD)}
    listed |= {f"{s.key}.{MASK_FIELD}" for s in shard.samples if s.mask_offset is not None}
    with path.open("rb") as file:
        found = {member["fname"] for member in tar_file_iterator(file)}
    if found != listed:
        raise InputError(f"{place}: does not hold the samples its manifest lists: make the set again")
