"""Writes one shard of a set: a task for a worker, which needs only the stores' URLs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdna.genome import alphabet
from hdna.genome.packing import Bytes, Flags
from hdna.genome.shard import ShardEntry
from hdna.genome.shard_layout import COUNTED, SplitTotals
from hdna.storage.manifest import describe_file
from hdna_prep import work_done
from hdna_prep.shard_file import shard_file
from hdna_prep.store_ref import StoreRef, opened
from hdna_prep.windows import Window


class Tally:
    """Counts the distinct bases of windows."""

    def __init__(self) -> None:
        self._windows = 0
        self._by_token: npt.NDArray[np.int64] = np.zeros(256, np.int64)
        self._soft_masked = 0

    def add(self, tokens: Bytes, mask: Flags) -> None:
        """Count a window's distinct bases."""
        self._windows += 1
        self._by_token += np.bincount(tokens, minlength=256)
        self._soft_masked += int(np.count_nonzero(mask))

    def merge(self, other: "Tally") -> None:
        """Add another tally's counts."""
        self._windows += other._windows
        self._by_token += other._by_token
        self._soft_masked += other._soft_masked

    def totals(self) -> SplitTotals:
        """As in the manifest."""
        ids = (alphabet.A, alphabet.C, alphabet.G, alphabet.T, alphabet.N, alphabet.UNK)
        numbers = [*(int(self._by_token[token]) for token in ids), self._soft_masked]
        return SplitTotals(self._windows, int(self._by_token.sum()), dict(zip(COUNTED, numbers, strict=True)))


def write_shard(path: Path, windows: Sequence[Window], stores: Mapping[str, StoreRef]) -> tuple[ShardEntry, Tally]:
    """Read a shard's windows in genome order (each chunk of a store once), and write them in their own.

    Half of a window's bases count as done when they are read, the others when they are written. Raises InputError when
    a store has been replaced since the windows were chosen.
    """
    arrays: dict[int, tuple[Bytes, Flags]] = {}
    for window in sorted(windows, key=lambda w: w.number):
        store = opened(*stores[window.assembly])
        arrays[window.number] = store.read(window.interval), store.read_mask(window.interval)
        work_done.add(window.distinct // 2)
    tally = Tally()
    with shard_file(path) as shard:
        for window in windows:
            tokens, mask = arrays.pop(window.number)
            shard.add(window, tokens, mask)
            tally.add(tokens[: window.distinct], mask[: window.distinct])
            work_done.add(window.distinct - window.distinct // 2)
    entry = describe_file(path)
    bases = sum(window.distinct for window in windows)
    return ShardEntry(path.name, entry.bytes, entry.sha256, windows[0].split, bases, shard.samples), tally
