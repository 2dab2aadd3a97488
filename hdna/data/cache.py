"""Shards as verified local files: a local set's own, or copies of a bucket's in a bounded cache."""

import os
from pathlib import Path

from hdna import storage
from hdna.commit import describe
from hdna.errors import InputError
from hdna.genome.shard import ShardEntry, ShardSet

CACHE_BYTES = 64 << 30
"""Least recently used copies go when the cache would hold more than this."""


class ShardCache:
    """Gives the local file of a shard, its size and sha256 verified once per process."""

    def __init__(self, folder: Path | None = None, limit_bytes: int = CACHE_BYTES) -> None:
        self._folder = folder or _default_folder()
        self._limit = limit_bytes

    def fetch(self, shard_set: ShardSet, shard: ShardEntry) -> Path:
        """Where the shard lies on this machine.

        Raises InputError naming the shard when it is missing or damaged.
        """
        place = shard_set.place(shard)
        try:
            path = storage.local_path(place) if storage.is_local(place) else self._copy(place, shard)
            found = describe(path)
        except FileNotFoundError:
            raise InputError(f"{place}: shard is missing though the manifest lists it: make the set again") from None
        if (found.bytes, found.sha256) != (shard.bytes, shard.sha256):
            if not storage.is_local(place):
                path.unlink()
            raise InputError(
                f"{place}: damaged: {found.bytes} bytes, sha256 {found.sha256[:12]}, but its manifest says "
                f"{shard.bytes} bytes, sha256 {shard.sha256[:12]}: make the set again or copy it again"
            )
        return path

    def _copy(self, place: str, shard: ShardEntry) -> Path:
        path = self._folder / f"{shard.sha256}.tar"
        if path.is_file():
            os.utime(path)
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(shard.bytes)
        storage.download(place, path)
        return path

    def _make_room(self, needed: int) -> None:
        files = sorted(self._folder.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        excess = sum(path.stat().st_size for path in files) + needed - self._limit
        for path in files:
            if excess <= 0:
                return
            excess -= path.stat().st_size
            path.unlink()


def _default_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "hdna" / "shards"
