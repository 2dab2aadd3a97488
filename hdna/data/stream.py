"""Reads the crops that the order asks for, from memory-mapped shards. The door to WebDataset.

A shard is walked once, on first use, with the WebDataset library's own reader: it must contain exactly the samples its
manifest lists. The library gets an open file, never a URL (it would run `pipe:` ones), and decodes nothing.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from hdna.data.cache import ShardCache
from hdna.data.order import Crop, Crops, IntArray, window_table
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.shard import MASK_FIELD, META_FIELD, SEQUENCE_FIELD, ShardEntry, ShardSet

Rows = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]
"""Tokens, and which of them are soft-masked; None if none are."""

Item = TypeVar("Item")
_MAPPED_SHARDS = 512
"""Each holds a file descriptor; a process has 1,024 by default."""
_NO_MASK = -1


class WindowReader:
    """The windows of one split of one or more shard sets, numbered across all of them in manifest order."""

    def __init__(self, shard_sets: Sequence[ShardSet], split: str, cache: ShardCache) -> None:
        self._cache = cache
        self._shards = [
            (shard_set, shard) for shard_set in shard_sets for shard in shard_set.shards if shard.split == split
        ]
        samples = [(number, sample) for number, (_, shard) in enumerate(self._shards) for sample in shard.samples]
        self._shard_of = np.array([number for number, _ in samples], np.int64)
        self._bases = np.array([sample.end - sample.start for _, sample in samples], np.int64)
        self._tokens_at = np.array([sample.offset for _, sample in samples], np.int64)
        masks_at = [_NO_MASK if sample.mask_offset is None else sample.mask_offset for _, sample in samples]
        self._mask_at = np.array(masks_at, np.int64)
        self.tables = [window_table(shard_set, split) for shard_set in shard_sets]
        self._asked_for: set[int] = set()
        self._map = lru_cache(maxsize=_MAPPED_SHARDS)(self._mapped)

    def __len__(self) -> int:
        return len(self._bases)

    def bases(self, window: int) -> int:
        """Bases of a window."""
        return int(self._bases[window])

    def read(self, crop: Crop, bases: int) -> Rows:
        """Tokens (bases,) and soft mask of one crop of `bases` bases, on its strand; raises like `read_batch`."""
        tokens, mask = self.read_batch(Crops.of([crop]), bases)
        return tokens[0], None if mask is None else mask[0]

    def read_batch(self, crops: Crops, bases: int, span: slice | None = None, masked: bool = True) -> Rows:
        """Tokens (B, n) and, if `masked`, soft masks of crops of `bases` bases, each on its strand.

        With `span`, only those n bases, counted along the strand.

        Raises InputError naming the shard when it is missing, damaged or not what its manifest lists, and IndexError
        past a window's end.
        """
        past = np.flatnonzero((crops.offset < 0) | (crops.offset + bases > self._bases[crops.window]))
        if past.size:
            crop = crops[past[0]]
            raise IndexError(f"{crop} of {bases} bases is not inside its window of {self.bases(crop.window)}")
        span = span or slice(0, bases)
        # A crop is reversed as a whole, so its first bases are the last on the other strand.
        first = crops.offset + np.where(crops.reverse, bases - span.stop, span.start)
        length, reverse = span.stop - span.start, np.flatnonzero(crops.reverse)
        tokens = np.empty((len(crops), length), np.uint8)
        self._copy(tokens, crops.window, self._tokens_at[crops.window] + first)
        tokens[reverse] = alphabet.reverse_complement(tokens[reverse])
        has_mask = np.flatnonzero(self._mask_at[crops.window] != _NO_MASK)
        if not masked or not has_mask.size:
            return tokens, None
        mask = np.zeros_like(tokens)
        rows = np.empty((len(has_mask), length), np.uint8)
        self._copy(rows, crops.window[has_mask], (self._mask_at[crops.window] + first)[has_mask])
        mask[has_mask] = rows
        mask[reverse] = mask[reverse, ::-1]
        return tokens, mask != 0

    def prefetch(self, crops: Crops) -> None:
        """Start copying to the cache the shards in buckets whose crops will be read soon."""
        numbers, first = np.unique(self._shard_of[crops.window], return_index=True)
        for number in numbers[np.argsort(first)].tolist():
            if number not in self._asked_for:
                self._asked_for.add(number)
                shard_set, shard = self._shards[number]
                self._cache.prefetch(shard_set, [shard])

    def _copy(self, rows: npt.NDArray[np.uint8], windows: IntArray, starts: IntArray) -> None:
        """Fill each row (B, n) from its window's shard, beginning at `starts`."""
        length = rows.shape[1]
        for row, shard, start in zip(rows, self._shard_of[windows].tolist(), starts.tolist(), strict=True):
            row[:] = self._map(shard)[start : start + length]

    def _mapped(self, number: int) -> npt.NDArray[np.uint8]:
        shard_set, shard = self._shards[number]
        with self._cache.open(shard_set, shard) as file:
            _check_members(file, shard_set.url_of(shard), shard)
            return np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))  # slicing the subclass costs a microsecond


def prefetched(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The same items, made by a thread up to `ahead` of the consumer; an error surfaces in place of its item."""
    iterator = iter(items)

    def following() -> list[Item]:
        return list(islice(iterator, 1))

    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(following) for _ in range(ahead)]
        while item := waiting.pop(0).result():
            waiting.append(pool.submit(following))
            yield item[0]


def _check_members(file: BinaryIO, url: str, shard: ShardEntry) -> None:
    os.environ.setdefault("WDS_SECURE", "1")
    from webdataset.tariterators import tar_file_iterator

    listed = {f"{s.key}.{field}" for s in shard.samples for field in (META_FIELD, SEQUENCE_FIELD)}
    listed |= {f"{s.key}.{MASK_FIELD}" for s in shard.samples if s.mask_offset is not None}
    found = {member["fname"] for member in tar_file_iterator(file)}
    if found != listed:
        raise InputError(f"{url}: does not contain the samples its manifest lists: make the set again")
