"""Writes the index of a large shard set: a part for each shard, and the lengths of all windows."""

from pathlib import Path

from hdna.genome.sample_parts import IndexedShard, part_bytes
from hdna.genome.shard import ShardEntry
from hdna.genome.window_lengths import LENGTHS, Rows, lengths_bytes, lengths_of
from hdna.storage.manifest import FileEntry, describe_bytes


class SetIndex:
    """The index of the set in `folder`; shards are added in the manifest's order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lengths: list[Rows] = []
        self.files: dict[str, FileEntry] = {}
        """What was written, by name."""

    def add(self, shard: ShardEntry) -> IndexedShard:
        """Write the part of a shard; return what the manifest lists of it."""
        windows = len(shard.samples)
        listed = IndexedShard(shard.url, shard.bytes, shard.sha256, shard.split, shard.bases, windows)
        self._write(listed.part, part_bytes(shard.samples))
        self._lengths.append(lengths_of(shard.samples))
        return listed

    def close(self) -> None:
        """Write the lengths."""
        self._write(LENGTHS, lengths_bytes(self._lengths))

    def _write(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)
        self.files[name] = describe_bytes(data)
