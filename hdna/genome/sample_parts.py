"""The samples of a large shard set: in a JSON file beside each shard, `train-000000.json`, read when they are needed.

A part lists what `samples` lists of each shard in the manifest of an ordinary set.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, overload

from hdna import storage
from hdna.errors import InputError
from hdna.genome.set_windows import SetWindows
from hdna.genome.shard import MAX_SHARD_BYTES, SampleEntry, ShardEntry, ShardName, Split
from hdna.genome.shard_layout import sample_problems
from hdna.genome.window_lengths import LENGTHS
from hdna.storage.manifest import FileEntry, Manifest, describe_bytes
from hdna.storage.untrusted_json import Count, Meta, Sha256, parse_json

_MAX_PARTS = 16
"""In memory: those of the shards whose crops are permuted together, and of the next ones."""
_MIN_WINDOW_BYTES = 4 * 512
"""In a tar: two members of a header and a block each."""


@dataclass(frozen=True, slots=True)
class IndexedShard:
    """A tar, as the manifest of a large set lists it."""

    url: ShardName
    bytes: Annotated[int, Meta(ge=0, le=MAX_SHARD_BYTES)]
    sha256: Sha256
    split: Split
    bases: Count
    windows: Annotated[int, Meta(ge=1, le=MAX_SHARD_BYTES)]

    @property
    def part(self) -> str:
        """Name of the file of its samples."""
        return f"{self.url.removesuffix('.tar')}.json"


def part_bytes(samples: Sequence[SampleEntry]) -> bytes:
    """The file of a shard's samples: JSON, a line each."""
    return "[\n{}\n]\n".format(",\n".join(json.dumps(vars(sample)) for sample in samples)).encode()


def index_problems(shards: Sequence[IndexedShard], files: Mapping[str, FileEntry]) -> Iterator[str]:
    """Where the files of a large set are not its shards, their parts, and their lengths."""
    if set(files) != {LENGTHS, *(shard.url for shard in shards), *(shard.part for shard in shards)}:
        yield "its shards and its file table differ"
    for shard in shards:
        if shard.windows > shard.bytes // _MIN_WINDOW_BYTES:
            yield f"{shard.url}: too small for {shard.windows} windows"


class SampleParts:
    """The parts of one set, `window` as in its manifest. The last few read are kept. Thread-safe."""

    def __init__(self, manifest: Manifest, window: int) -> None:
        parts = {name: entry for name, entry in manifest.files.items() if name.endswith(".json")}
        self._manifest = replace(manifest, body={}, files=parts)  # the rest was used, and is large
        self._window = window
        self.read = lru_cache(maxsize=_MAX_PARTS)(self._read)
        """The samples of an IndexedShard. Raises InputError naming a part that is missing, damaged or contradictory."""

    def shard(self, listed: IndexedShard) -> ShardEntry:
        """A shard whose samples are read when they are asked for."""
        samples = PartSamples(listed, self)
        return ShardEntry(listed.url, listed.bytes, listed.sha256, listed.split, listed.bases, samples)

    def _read(self, shard: IndexedShard) -> list[SampleEntry]:
        url, advice = storage.join(self._manifest.url, shard.part), self._manifest.format.damaged
        samples = parse_json(self._bytes(shard.part), list[SampleEntry], url, advice)
        for problem in self._problems(shard, samples):
            raise InputError(f"{url}: {problem}: {advice}")
        return samples

    def _bytes(self, name: str) -> bytes:
        with suppress(FileNotFoundError):
            data = storage.read(storage.join(self._manifest.url, name))
            if describe_bytes(data) == self._manifest.files[name]:
                return data
        return self._manifest.read(name)  # again: networks corrupt bytes silently

    def _problems(self, shard: IndexedShard, samples: list[SampleEntry]) -> Iterator[str]:
        if len(samples) != shard.windows:
            yield f"it has {len(samples)} windows, but its manifest says {shard.windows}"
        yield from sample_problems(samples, self._window, shard.bytes)
        windows = SetWindows([ShardEntry(shard.url, shard.bytes, shard.sha256, shard.split, shard.bases, samples)])
        yield from windows.repeated_keys()
        yield from windows.overlaps()


@dataclass(frozen=True, slots=True)
class PartSamples(Sequence[SampleEntry]):
    """The samples of one shard of a large set."""

    shard: IndexedShard
    parts: SampleParts = field(compare=False, repr=False)

    def __len__(self) -> int:
        return self.shard.windows

    @overload
    def __getitem__(self, index: int) -> SampleEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[SampleEntry]: ...
    def __getitem__(self, index: int | slice) -> SampleEntry | list[SampleEntry]:
        return self.parts.read(self.shard)[index]

    def __iter__(self) -> Iterator[SampleEntry]:
        return iter(self.parts.read(self.shard))
