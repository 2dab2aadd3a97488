"""Reads the crops that the order asks for, from shards that are verified, admitted and watched."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hdna.data.cache import ShardCache
from hdna.data.open_shard import OpenShard
from hdna.data.order import Crop, Crops, IntArray, window_table
from hdna.genome import alphabet
from hdna.genome.shard_set import ShardSet

Rows = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]
"""Tokens, and which of them are soft-masked; None if none are."""

Item = TypeVar("Item")
_MAX_OPEN_SHARDS = 512
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
        self._samples = [sample for _, sample in samples]
        self._read_since_check = np.zeros(len(samples), np.int64)
        self._open: dict[int, OpenShard] = {}  # by number, the one used last at the end

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
        shards = self._admitted(crops.window, length)
        tokens = np.empty((len(crops), length), np.uint8)
        self._copy(shards, tokens, crops.window, self._tokens_at[crops.window] + first)
        tokens[reverse] = alphabet.reverse_complement(tokens[reverse])
        has_mask = np.flatnonzero(self._mask_at[crops.window] != _NO_MASK)
        if not masked or not has_mask.size:
            return tokens, None
        mask = np.zeros_like(tokens)
        rows = np.empty((len(has_mask), length), np.uint8)
        self._copy(shards, rows, crops.window[has_mask], (self._mask_at[crops.window] + first)[has_mask])
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

    def _admitted(self, windows: IntArray, length: int) -> dict[int, OpenShard]:
        """The shards of these windows, by number; of each window `length` bases are going to be read.

        A window is compared with its checksum again each time as many bases have been read from it as it has: once in
        about an epoch, and never more work than the reading itself.
        """
        shards = {number: self._shard(number) for number in dict.fromkeys(self._shard_of[windows].tolist())}
        np.add.at(self._read_since_check, windows, length)
        for window in np.unique(windows[self._read_since_check[windows] > self._bases[windows]]).tolist():
            shards[int(self._shard_of[window])].check(self._samples[window])
            self._read_since_check[window] = 0
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

    def _copy(
        self, shards: dict[int, OpenShard], rows: npt.NDArray[np.uint8], windows: IntArray, starts: IntArray
    ) -> None:
        """Fill each row (B, n) from its window's shard, beginning at `starts`."""
        for row, shard, start in zip(rows, self._shard_of[windows].tolist(), starts.tolist(), strict=True):
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
