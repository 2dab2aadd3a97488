"""The order law: which crops make up global batch `step`, as a pure function of (recipe, seed, manifest).

Integers in, (window, offset, strand) out: no state, no knowledge of ranks or workers. A run's position in its data is
one integer, the step. The lengths of windows come from tables, of which those of large sets read a few shards' index.

Each curriculum stage, and each context of one with several, has its own epochs. An epoch contains every window's
(bases - 1) // context_length crops once.
Shards are permuted, then the crops of a few consecutive shards together, so that a reader needs only those few shards
at a time. In each epoch a window's crops start from a new phase, so that they do not always begin at the same base.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from hdna.data.curriculum import Curriculum, StagePlan
from hdna.data.turns import exact_shares
from hdna.data.window_table import WindowTable, crops_of, window_table
from hdna.errors import InputError
from hdna.genome.hashing import hash64, hash_int, permutation
from hdna.genome.set_windows import IntArray

__all__ = ["Crop", "Crops", "DataOrder", "IntArray", "WindowTable", "window_table"]

SHARDS_TOGETHER = 8
"""Shards whose crops are permuted together."""
MIXTURE_PERIOD = 1024
"""Consecutive samples within which each shard set has its exact share."""
_EPOCH, _PHASE, _EDGE, _STRAND, _MIXTURE, _CROP = range(6)
"""Separate the hashes of different decisions."""

BoolArray = npt.NDArray[np.bool_]


class Crop(NamedTuple):
    """One training sample: `context_length + 1` bases of a window."""

    window: int
    """Number of the window in the table of all train windows."""
    offset: int
    """First base, counted from the window's first."""
    strand: str
    """"+", or "-" for the reverse complement of the same bases."""


class Crops(Sequence[Crop]):
    """Crops as arrays, (B,) each: copying a crop of 1,024 bases takes a microsecond, and an object costs as much."""

    def __init__(self, window: IntArray, offset: IntArray, reverse: BoolArray) -> None:
        self.window = window
        self.offset = offset
        self.reverse = reverse
        """Whether the strand is "-"."""

    @classmethod
    def of(cls, crops: Sequence[Crop]) -> "Crops":
        """From individual crops."""
        windows = np.array([crop.window for crop in crops], np.int64)
        offsets = np.array([crop.offset for crop in crops], np.int64)
        return cls(windows, offsets, np.array([crop.strand == "-" for crop in crops], np.bool_))

    def take(self, indices: slice | Sequence[int] | IntArray) -> "Crops":
        """The crops at `indices`, in that order."""
        return Crops(self.window[indices], self.offset[indices], self.reverse[indices])

    def __len__(self) -> int:
        return len(self.window)

    @overload
    def __getitem__(self, index: int) -> Crop: ...
    @overload
    def __getitem__(self, index: slice) -> "Crops": ...
    def __getitem__(self, index: int | slice) -> "Crop | Crops":
        if isinstance(index, slice):
            return self.take(index)
        return Crop(int(self.window[index]), int(self.offset[index]), "-" if self.reverse[index] else "+")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # like a list's


class DataOrder:
    """Global batches of a run.

    `tables` has one entry per shard set; windows are numbered across all of them. `weights` are the sets' relative
    shares of the samples; empty means by number of bases.

    Raises InputError when a shard set has no window long enough for a stage.
    """

    def __init__(
        self,
        tables: Sequence[WindowTable],
        curriculum: Curriculum,
        seed: int,
        weights: Sequence[float] = (),
        reverse_complement: bool = True,
    ) -> None:
        self.curriculum = curriculum
        self._tables = tables
        for stage in curriculum.stages:
            for table in tables:
                _check_long_enough(table, stage.context_length)
        self._first_window = np.cumsum([0, *map(len, tables)])
        self._key = hash_int(seed)
        self._reverse_complement = reverse_complement
        self._period = _mixture_period(list(weights) or [float(table.total_bases) for table in tables], self._key)
        self.crops_per_epoch = lru_cache(maxsize=None)(self._crops_per_epoch)
        """(shard set, context length) -> crops in one pass over it."""
        self._epoch = lru_cache(maxsize=2 * len(tables))(self._epoch_groups)
        self._group = lru_cache(maxsize=2 * len(tables))(self._permuted_group)

    def batch(self, step: int) -> Crops:
        """The crops of global batch `step`, in order. Raises IndexError past the end of the run."""
        stage = self.curriculum.stage(step)
        slots = np.arange(stage.samples) + self.curriculum.earlier(step) * stage.samples
        period, slot = np.divmod(slots, MIXTURE_PERIOD)
        crops = Crops(np.empty_like(slots), np.empty_like(slots), np.empty(len(slots), np.bool_))
        for shard_set in np.unique(self._period.shard_set[slot]):
            mine = np.flatnonzero(self._period.shard_set[slot] == shard_set)
            cursors = period[mine] * self._period.share[shard_set] + self._period.rank[slot[mine]]
            self._fill(crops, mine, int(shard_set), stage, cursors)
        return crops

    def _crops_per_epoch(self, shard_set: int, context_length: int) -> int:
        return int(self._tables[shard_set].crops(context_length).sum())

    def _fill(self, crops: Crops, mine: IntArray, shard_set: int, stage: StagePlan, cursors: IntArray) -> None:
        """Fill entries `mine` with crops at `cursors` (rising) of a shard set's endless sequence of epochs."""
        epochs, positions = np.divmod(cursors, self.crops_per_epoch(shard_set, stage.context_length))
        for epoch in np.unique(epochs):
            now = epochs == epoch
            rows = mine[now]
            key = (self._key, shard_set, stage.index, int(epoch))
            window, number, bases = self._at(key, stage.context_length, positions[now])
            crops.window[rows] = window + self._first_window[shard_set]
            crops.offset[rows] = _offsets(bases, stage.context_length, number, (*key, window))
            crops.reverse[rows] = hash64(*key, _STRAND, window, number) & np.uint64(self._reverse_complement)

    def _at(self, key: tuple[int, ...], context_length: int, positions: IntArray) -> "_EpochCrops":
        """What is at positions of an epoch."""
        ends, shards = self._epoch(key, context_length)
        group_of = np.searchsorted(ends, positions, side="right")
        found = _EpochCrops(*np.empty((3, len(positions)), np.int64))
        for group in np.unique(group_of):
            members = tuple(int(s) for s in shards[group * SHARDS_TOGETHER : (group + 1) * SHARDS_TOGETHER])
            here = group_of == group
            inside = positions[here] - (ends[group - 1] if group else 0)
            for column, values in zip(found, self._group(key, context_length, members), strict=True):
                column[here] = values[inside]
        return found

    def _epoch_groups(self, key: tuple[int, ...], context_length: int) -> tuple[IntArray, IntArray]:
        """Cumulative crops of an epoch's groups of shards, and the shards in order."""
        per_shard = self._tables[key[1]].crops(context_length)
        shards = permutation(len(per_shard), *key, _EPOCH)
        return np.cumsum(np.add.reduceat(per_shard[shards], np.arange(0, len(shards), SHARDS_TOGETHER))), shards

    def _permuted_group(self, key: tuple[int, ...], context_length: int, shards: tuple[int, ...]) -> "_EpochCrops":
        """The shards' crops, permuted together."""
        table = self._tables[key[1]]
        windows = np.concatenate([np.arange(table.firsts[s], table.firsts[s + 1]) for s in sorted(shards)])
        bases = np.concatenate([table.bases_of(s) for s in sorted(shards)])
        crops = crops_of(bases, context_length)
        window, bases = np.repeat(windows, crops), np.repeat(bases, crops)
        number = np.arange(len(window)) - np.repeat(np.cumsum(crops) - crops, crops)
        shuffled = np.argsort(hash64(*key, _CROP, window, number), kind="stable")
        return _EpochCrops(window[shuffled], number[shuffled], bases[shuffled])


def _check_long_enough(table: WindowTable, context_length: int) -> None:
    longest = table.longest
    if longest <= context_length:
        raise InputError(
            f"context_length={context_length}: needs windows of {context_length + 1} bases, but the longest train "
            f"window of a shard set has {longest}: "
            f"shorten the context, or make the set with a larger --window or longer splits"
        )


class _EpochCrops(NamedTuple):
    """Crops of one shard set: window, number within it, and the window's bases."""

    window: IntArray
    number: IntArray
    bases: IntArray


class _Period(NamedTuple):
    """One period of a mixture: the shard set of each slot, its rank among that set's slots, and each set's share."""

    shard_set: IntArray
    rank: IntArray
    share: IntArray


def _mixture_period(weights: Sequence[float], key: int) -> _Period:
    if len(weights) == 1:
        slots = np.arange(MIXTURE_PERIOD)
        return _Period(np.zeros_like(slots), slots, np.array([MIXTURE_PERIOD]))
    share = exact_shares(weights, MIXTURE_PERIOD)
    shard_set = np.repeat(np.arange(len(weights)), share)[permutation(MIXTURE_PERIOD, key, _MIXTURE)]
    rank = np.empty_like(shard_set)
    for number in range(len(weights)):
        rank[shard_set == number] = np.arange(share[number])
    return _Period(shard_set, rank, share)


def _offsets(bases: IntArray, context_length: int, number: IntArray, key: tuple[int | IntArray, ...]) -> IntArray:
    """Where crops start in their windows: a phase plus a multiple of the context.

    The one crop that the phase would push past its window's end moves to one of the two edges instead, so that over
    epochs every base of a window is read, whatever the context length.
    """
    phase = (hash64(*key, _PHASE) % np.uint64(context_length)).astype(int)
    offset = phase + number * context_length
    last = bases - 1 - context_length
    edge = np.where(hash64(*key, _EDGE) & np.uint64(1), 0, last)
    return np.where(offset <= last, offset, edge)
