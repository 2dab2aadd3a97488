"""Held-out sequence: the windows of a split that weights were not trained on, of one or more shard sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hdna.config import RunConfig
from hdna.data.cache import ShardCache
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.set_windows import IntArray
from hdna.genome.shard import SPLITS
from hdna.genome.shard_set import ShardSet, load_shard_set

_HELD_OUT = ("test", "valid")
"""By preference: evaluations during training, and whoever looked at them, have seen the valid split."""


@dataclass(frozen=True)
class HeldOut:
    """One split of shard sets, each with a reader of its own."""

    split: str
    names: list[str]
    """Of each set: its assemblies, or its URL where another one has the same."""
    readers: list[WindowReader]


def open_held_out(config: RunConfig, shards: Sequence[str] = (), split: str | None = None) -> HeldOut:
    """The split of these shard sets, or else of those that a run was trained on.

    Without `split`, test if all sets have it, else valid. Raises InputError when a set is missing or has no such split.
    """
    sets = [load_shard_set(url) for url in shards or config.data.shards]
    had = [[split for split in SPLITS if any(shard.split == split for shard in one.shards)] for one in sets]
    split = split or next((split for split in _HELD_OUT if all(split in own for own in had)), _HELD_OUT[0])
    for one, own in zip(sets, had, strict=True):
        if split not in own:
            raise InputError(
                f"{one.url}: has no {split} split, only {' and '.join(own) or 'no windows at all'}: name another one "
                f"by --split, or another set by --shards"
            )
    cache = ShardCache()
    return HeldOut(split, _names(sets), [WindowReader([one], split, cache) for one in sets])


def window_lengths(reader: WindowReader) -> IntArray:
    """Bases of each window of a reader."""
    tables = reader.tables
    parts = [table.bases_of(shard) for table in tables for shard in range(len(table.firsts) - 1)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _names(sets: Sequence[ShardSet]) -> list[str]:
    names = [" + ".join(dict.fromkeys(origin.assembly for origin in one.provenance.stores)) for one in sets]
    often = Counter(names)
    return [name if often[name] == 1 else one.url for name, one in zip(names, sets, strict=True)]
