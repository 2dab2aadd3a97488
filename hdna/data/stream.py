"""Reads the crops that the order asks for, from shards that are verified, admitted and watched."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hdna.data.cache import ShardCache
from hdna.data.open_shard import OpenShard
from hdna.data.order import Crop, Crops
from hdna.data.window_table import window_table
from hdna.genome import alphabet
from hdna.genome.set_windows import IntArray
from hdna.genome.shard_set import ShardSet

Rows = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]
"""Tokens, and which of them are soft-masked; None if none are."""

Item = TypeVar("Item")
_MAX_OPEN_SHARDS = 512
"""Each holds a file descriptor; a process has 1,024 by default."""
_NO_MASK = -1


class _Places(NamedTuple):
    """Of windows: their shard's number, their own within it, their bases, and where tokens and mask begin."""

    shard: IntArray
    number: IntArray
    bases: IntArray
    tokens_at: IntArray
    mask_at: IntArray


class WindowReader:
    """The windows of one split of one or more shard sets, numbered across all of them in manifest order."""

    def __init__(self, shard_sets: Sequence[ShardSet], split: str, cache: ShardCache) -> None:
        self._cache = cache
        self._shards = [
            (shard_set, shard) for shard_set in shard_sets for shard in shard_set.shards if shard.split == split
        ]
        self._firsts = np.cumsum([0, *(len(shard.samples) for _, shard in self._shards)])
        self.tables = [window_table(shard_set, split) for shard_set in shard_sets]
        self._asked_for: set[int] = set()
        self._layout = lru_cache(maxsize=_MAX_OPEN_SHARDS)(self._shard_layout)
        self._open: dict[int, OpenShard] = {}  # by number, the one used last at the end

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def bases(self, window: int) -> int:
        """Bases of a window."""
        return int(self._look_up(np.array([window])).bases[0])

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
        places = self._look_up(crops.window)
        past = np.flatnonzero((crops.offset < 0) | (crops.offset + bases > places.bases))
        if past.size:
            crop = crops[past[0]]
            raise IndexError(f"{crop} of {bases} bases is not inside its window of {self.bases(crop.window)}")
        span = span or slice(0, bases)
        # A crop is reversed as a whole, so its first bases are the last on the other strand.
        first = crops.offset + np.where(crops.reverse, bases - span.stop, span.start)
        length, reverse = span.stop - span.start, np.flatnonzero(crops.reverse)
        shards = self._admitted(places, length)
        tokens = np.empty((len(crops), length), np.uint8)
        _copy(shards, tokens, places.shard, places.tokens_at + first)
        tokens[reverse] = alphabet.reverse_complement(tokens[reverse])
        has_mask = np.flatnonzero(places.mask_at != _NO_MASK)
        if not masked or not has_mask.size:
            return tokens, None
        mask = np.zeros_like(tokens)
        rows = np.empty((len(has_mask), length), np.uint8)
        _copy(shards, rows, places.shard[has_mask], (places.mask_at + first)[has_mask])
        mask[has_mask] = rows
        mask[reverse] = mask[reverse, ::-1]
        return tokens, mask != 0

    def prefetch(self, crops: Crops) -> None:
        """Start copying to the cache the shards in buckets whose crops will be read soon."""
        numbers, first = np.unique(self._shard_of(crops.window), return_index=True)
        for number in numbers[np.argsort(first)].tolist():
            if number not in self._asked_for:
                self._asked_for.add(number)
                shard_set, shard = self._shards[number]
                self._cache.prefetch(shard_set, [shard])

    def _shard_of(self, windows: IntArray) -> IntArray:
        return np.searchsorted(self._firsts, windows, side="right") - 1

    def _look_up(self, windows: IntArray) -> _Places:
        """Where windows lie; of the shards of large sets, their part of the index is read."""
        shard = self._shard_of(windows)
        number = windows - self._firsts[shard]
        found = np.empty((3, len(windows)), np.int64)
        for one in np.unique(shard).tolist():
            here = shard == one
            found[:, here] = self._layout(one)[:, number[here]]
        return _Places(shard, number, *found)

    def _shard_layout(self, number: int) -> IntArray:
        """Bases of each window of a shard, and where its tokens and its mask begin: (3, windows)."""
        _, shard = self._shards[number]
        rows = [
            (sample.end - sample.start, sample.offset, _NO_MASK if sample.mask_offset is None else sample.mask_offset)
            for sample in shard.samples
        ]
        return np.array(rows, np.int64).T

    def _admitted(self, places: _Places, length: int) -> dict[int, OpenShard]:
        """The shards of these windows, by number; of each window `length` bases are going to be read.

        A window is compared with its checksum again each time as many bases have been read from it as it has: once in
        about an epoch, and never more work than the reading itself.
        """
        shards = {number: self._shard(number) for number in dict.fromkeys(places.shard.tolist())}
        for number, opened in shards.items():
            here = places.shard == number
            windows = places.number[here]
            np.add.at(opened.read_since_check, windows, length)
            for window in np.unique(windows[opened.read_since_check[windows] > places.bases[here]]).tolist():
                opened.check(self._shards[number][1].samples[window])
                opened.read_since_check[window] = 0
        return shards

    def _shard(self, number: int) -> OpenShard:
        opened = self._open.pop(number, None)
        if opened is None or opened.changed():
            shard_set, shard = self._shards[number]
            opened = OpenShard(self._cache.open(shard_set, shard), shard_set.url_of(shard), shard)
        self._open[number] = opened
        if len(self._open) > _MAX_OPEN_SHARDS:
            del self._open[next(iter(self._open))]
        return opened


def _copy(shards: dict[int, OpenShard], rows: npt.NDArray[np.uint8], numbers: IntArray, starts: IntArray) -> None:
    """Fill each row (B, n) from the shard of that number, beginning at `starts`."""
    for row, shard, start in zip(rows, numbers.tolist(), starts.tolist(), strict=True):
        shards[shard].read_into(row, start)


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
