"""The train split of shard sets, read as it is trained on: verified, in bounded memory, from the shards alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hdna import storage
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.packing import Bytes
from hdna.genome.shard import SampleEntry, ShardEntry
from hdna.genome.shard_set import FORMAT, ShardSet
from hdna.progress import Advance
from hdna.storage.manifest import FileEntry, describe_bytes

_BATCH_BASES = 1 << 20
"""Short windows are taken together: there may be millions."""


@dataclass(frozen=True)
class Batch:
    """Some windows of one set, one after another, each followed by an N."""

    tokens: Bytes
    ends: np.ndarray
    """(windows,) where each ends, its N included."""
    assemblies: list[str]
    """The windows' assemblies."""


def train_shards(shard_set: ShardSet) -> list[ShardEntry]:
    """The shards of its train split."""
    return [shard for shard in shard_set.shards if shard.split == "train"]


def train_batches(shard_set: ShardSet, advance: Advance) -> Iterator[Batch]:
    """Every window of the train split; `advance` is called with the bytes read. Holds one shard.

    Raises InputError naming a shard that is missing, or is not what the manifest says.
    """
    for shard in train_shards(shard_set):
        tar = _verified(shard_set, shard)
        for samples in _together(shard.samples):
            yield _batch(samples, tar)
        advance(shard.bytes)


def _verified(shard_set: ShardSet, shard: ShardEntry) -> Bytes:
    url = shard_set.url_of(shard)
    try:
        data = storage.read(url)
    except FileNotFoundError:
        raise InputError(f"{url} is missing: {FORMAT.damaged}") from None
    if describe_bytes(data) != FileEntry(shard.bytes, shard.sha256):
        raise InputError(f"{url} does not have the bytes and sha256 its manifest says: {FORMAT.damaged}")
    return np.frombuffer(data, np.uint8)


def _together(samples: Sequence[SampleEntry]) -> Iterator[list[SampleEntry]]:
    """The samples in lists of about _BATCH_BASES bases."""
    taken: list[SampleEntry] = []
    bases = 0
    for sample in samples:
        taken.append(sample)
        bases += sample.end - sample.start
        if bases >= _BATCH_BASES:
            yield taken
            taken, bases = [], 0
    if taken:
        yield taken


def _batch(samples: list[SampleEntry], tar: Bytes) -> Batch:
    lengths = np.array([sample.end - sample.start for sample in samples])
    ends = np.cumsum(lengths + 1)
    tokens = np.full(int(ends[-1]), alphabet.N, np.uint8)
    for sample, length, end in zip(samples, lengths.tolist(), ends.tolist(), strict=True):
        tokens[end - 1 - length : end - 1] = tar[sample.offset : sample.offset + length]
    return Batch(tokens, ends, [sample.assembly for sample in samples])
