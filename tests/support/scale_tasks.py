"""Tasks for ranks that count what they do: shards, sockets, and what they read from the store where they meet."""

import json
from collections.abc import Sequence
from datetime import timedelta
from io import BufferedReader
from pathlib import Path

import pytest
import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests
from torch._C._distributed_c10d import FileStore, Store

from hdna.data.cache import ShardCache
from hdna.genome.shard import ShardEntry
from hdna.genome.shard_set import ShardSet
from hdna.parallel import Mesh
from support.rank_tasks import run_training

_DESCRIPTORS = Path("/proc/self/fd")


def run_on_own_node(recipe: Path, overrides: Sequence[str], folder: Path) -> None:
    """A run whose ranks have caches of their own, as on different machines; each writes which shards it has opened."""
    rank, opened, really = dist.get_rank(), set(), ShardCache.open

    def noted(cache: ShardCache, shard_set: ShardSet, shard: ShardEntry) -> BufferedReader:
        opened.add(shard.url)
        return really(cache, shard_set, shard)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / f"node-{rank}"))
        patch.setattr(ShardCache, "open", noted)
        run_training(recipe, overrides)
    (folder / f"opened-{rank}.json").write_text(json.dumps(sorted(opened)))


class CountingStore(Store):
    """Passes on what ranks write and read where they meet, and counts the bytes that this one reads."""

    def __init__(self, inner: Store) -> None:
        super().__init__()
        self.inner, self.bytes = inner, 0

    def set(self, key: str, value: str) -> None:
        self.inner.set(key, value)

    def get(self, key: str) -> bytes:
        value = self.inner.get(key)
        self.bytes += len(value)
        return value

    def add(self, key: str, value: int) -> int:
        return self.inner.add(key, value)

    def wait(self, keys: list[str], timeout: timedelta = timedelta(seconds=60)) -> None:
        self.inner.wait(keys, timeout)

    def set_timeout(self, timeout: timedelta) -> None:
        self.inner.set_timeout(timeout)


def count_meeting(folder: Path) -> None:
    """Join a group anew and make the one for saves; write how many sockets that has taken, and the bytes read."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    dist.destroy_process_group()
    store = CountingStore(FileStore(str(folder / "store"), ranks))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    before, store.bytes = _sockets(), 0
    mesh = Mesh.beside_training(timedelta(seconds=60))
    mesh.sum(torch.ones(1))
    (folder / f"{rank}.json").write_text(json.dumps([_sockets() - before, store.bytes]))


def _sockets() -> int:
    paths = (path for path in _DESCRIPTORS.iterdir() if path.is_symlink())
    return sum(str(path.readlink()).startswith("socket:") for path in paths)
