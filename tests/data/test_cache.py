"""The shard cache: verified, bounded and shared by processes, whatever the network and the disk do."""

import fcntl
import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from support.faulty_proxy import FaultyProxy
from support.s3 import QUICK, swift_server, use
from support.shard_sets import NO_PROVENANCE

from hdna import storage
from hdna.data.cache import ShardCache
from hdna.errors import InputError
from hdna.genome.shard import ShardEntry
from hdna.genome.shard_set import ShardSet

SIZE = 100_000
COUNT = 6

PROCESS = """
import random, sys
from pathlib import Path
from hdna.data.cache import ShardCache
from test_cache import content, made_up_set
folder, url, limit, rounds, seed = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
shard_set, random, cache = made_up_set(url), random.Random(seed), ShardCache(Path(folder), limit)
for turn in range(rounds):
    number = turn if rounds == len(shard_set.shards) else random.randrange(len(shard_set.shards))
    with cache.open(shard_set, shard_set.shards[number]) as file:
        assert file.read() == content(number)
"""


def content(number: int) -> bytes:
    return random.Random(number).randbytes(SIZE)


def made_up_set(url: str) -> ShardSet:
    shards = [
        ShardEntry(f"train-{n:06d}.tar", SIZE, hashlib.sha256(content(n)).hexdigest(), "train", 0, [])
        for n in range(COUNT)
    ]
    return ShardSet(url, 1, shards, {}, NO_PROVENANCE, "")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with swift_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        use(patch, endpoint)
        for number in range(COUNT):
            storage.write(f"s3://shared/set/train-{number:06d}.tar", content(number))
        yield endpoint


@pytest.fixture
def shards(proxy: FaultyProxy) -> ShardSet:
    return made_up_set("s3://shared/set")


def read(cache: ShardCache, shards: ShardSet, number: int) -> None:
    with cache.open(shards, shards.shards[number]) as file:
        assert file.read() == content(number)


def held(folder: Path, shards: ShardSet) -> list[int]:
    return [n for n, shard in enumerate(shards.shards) if (folder / f"{shard.sha256}.tar").exists()]


def bytes_in(folder: Path) -> int:
    """Size of the cache at one moment: its lock is held, and a file is not counted again under its final name."""
    found = {}
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.glob("*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found[status.st_ino] = status.st_size
    return sum(found.values())


def test_a_copy_is_fetched_once_and_verified_again_by_a_new_process(
    shards: ShardSet, proxy: FaultyProxy, tmp_path: Path
) -> None:
    cache = ShardCache(tmp_path)
    for _ in range(3):
        read(cache, shards, 0)
    assert proxy.count("GET") == 1
    read(ShardCache(tmp_path), shards, 0)
    assert proxy.count("GET") == 1
    (copy,) = tmp_path.glob("*.tar")
    broken = bytearray(content(0))
    broken[SIZE // 3] ^= 1
    copy.write_bytes(broken)
    read(ShardCache(tmp_path), shards, 0)
    assert proxy.count("GET") == 2
    assert copy.read_bytes() == content(0)


def test_a_copy_that_changes_after_it_was_verified_is_fetched_again(
    shards: ShardSet, proxy: FaultyProxy, tmp_path: Path
) -> None:
    cache = ShardCache(tmp_path)
    read(cache, shards, 0)
    (copy,) = tmp_path.glob("*.tar")
    with copy.open("r+b") as file:
        file.write(bytes(10))
    read(cache, shards, 0)
    assert proxy.count("GET") == 2
    assert copy.read_bytes() == content(0)


@pytest.mark.parametrize("fault", ["flip", "short", "cut", "reset", "503"])
def test_what_the_network_changed_is_fetched_again(
    fault: str, shards: ShardSet, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.plan("GET", fault, 2)
    read(ShardCache(tmp_path), shards, 1)
    assert proxy.count("GET") == 3


@pytest.mark.parametrize("fault", ["flip", "short"])
def test_what_stays_wrong_is_named_and_not_kept(
    fault: str, shards: ShardSet, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.plan("GET", fault, 100)
    with pytest.raises(
        InputError, match=r"s3://shared/set/train-000001.tar: damaged: \d+ bytes, sha256 .* manifest says"
    ):
        read(ShardCache(tmp_path), shards, 1)
    assert proxy.count("GET") == QUICK.downloads
    assert bytes_in(tmp_path) == 0


def test_a_missing_shard_is_named_and_leaves_nothing(shards: ShardSet, tmp_path: Path) -> None:
    missing = ShardEntry("train-000099.tar", SIZE, "0" * 64, "train", 0, [])
    with pytest.raises(InputError, match=r"s3://shared/set/train-000099.tar: shard is missing"):
        ShardCache(tmp_path).open(shards, missing)
    assert bytes_in(tmp_path) == 0


def test_the_least_recently_opened_goes_first(shards: ShardSet, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, limit_bytes=3 * SIZE + 10)
    for number in (0, 1, 2, 0, 3):
        read(cache, shards, number)
        time.sleep(0.02)  # apart in the clock of the file system
    assert held(tmp_path, shards) == [0, 2, 3]


def test_a_mapped_copy_stays_readable_when_it_has_gone(shards: ShardSet, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, limit_bytes=SIZE)
    with cache.open(shards, shards.shards[0]) as file:
        mapped = np.memmap(file, dtype=np.uint8, mode="r")
    read(cache, shards, 1)
    assert held(tmp_path, shards) == [1]
    assert mapped.tobytes() == content(0)


def test_a_limit_below_one_shard_holds_one(shards: ShardSet, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, limit_bytes=10)
    for number in (0, 1, 0):
        read(cache, shards, number)
        assert held(tmp_path, shards) == [number]


def test_what_a_killed_process_left_is_removed(shards: ShardSet, tmp_path: Path) -> None:
    (tmp_path / f"{'a' * 64}.partial").write_bytes(bytes(SIZE))
    (tmp_path / f"{shards.shards[0].sha256}.partial").write_bytes(bytes(SIZE))
    read(ShardCache(tmp_path, limit_bytes=SIZE), shards, 0)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".tar"]


def test_threads_that_want_the_same_shard_fetch_it_once(shards: ShardSet, proxy: FaultyProxy, tmp_path: Path) -> None:
    caches = [ShardCache(tmp_path) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: read(caches[n % 2], shards, 2), range(16)))
    assert proxy.count("GET") == 1


def start(folder: Path, url: str, limit: int, rounds: int, seed: int) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", PROCESS, str(folder), url, str(limit), str(rounds), str(seed)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})


def test_processes_share_copies(shards: ShardSet, proxy: FaultyProxy, tmp_path: Path) -> None:
    """Three processes read all shards at once: each shard is fetched once."""
    processes = [start(tmp_path, shards.url, COUNT * SIZE, COUNT, seed) for seed in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert proxy.count("GET") == COUNT


def test_processes_keep_the_limit_together(shards: ShardSet, tmp_path: Path) -> None:
    """Three processes read at random through a cache of two shards; its bytes are looked at all the time."""
    processes = [start(tmp_path, shards.url, 2 * SIZE, 40, seed) for seed in range(3)]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, bytes_in(tmp_path))
        time.sleep(0.002)
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert SIZE <= most <= 2 * SIZE


def wait_until_held(folder: Path, shards: ShardSet, numbers: list[int]) -> None:
    deadline = time.monotonic() + 20
    while held(folder, shards) != numbers and time.monotonic() < deadline:
        time.sleep(0.02)
    assert held(folder, shards) == numbers


def test_prefetched_shards_are_there_when_they_are_opened(shards: ShardSet, proxy: FaultyProxy, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, limit_bytes=100 * SIZE)
    cache.prefetch(shards, [shards.shards[n] for n in (3, 1, 2)])
    wait_until_held(tmp_path, shards, [1, 2, 3])
    assert [request[-10:] for request in proxy.requests] == ["000003.tar", "000001.tar", "000002.tar"]
    for number in (3, 1, 2):
        read(cache, shards, number)
    assert proxy.count("GET") == 3


def test_no_more_than_half_the_cache_is_fetched_ahead(shards: ShardSet, tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, limit_bytes=4 * SIZE)
    cache.prefetch(shards, shards.shards)
    wait_until_held(tmp_path, shards, [0, 1])
    read(cache, shards, 0)
    cache.prefetch(shards, shards.shards[2:])
    wait_until_held(tmp_path, shards, [0, 1, 2])
    for number in range(COUNT):
        read(cache, shards, number)
    small = ShardCache(tmp_path / "small", limit_bytes=SIZE)
    small.prefetch(shards, shards.shards)
    assert not [thread for thread in threading.enumerate() if thread.name == "shard-prefetch"]
    read(small, shards, 5)


def test_a_shard_that_could_not_be_prefetched_is_reported_when_it_is_opened(
    shards: ShardSet, proxy: FaultyProxy, tmp_path: Path
) -> None:
    cache = ShardCache(tmp_path, limit_bytes=100 * SIZE)
    missing = ShardEntry("train-000099.tar", SIZE, "0" * 64, "train", 0, [])
    cache.prefetch(shards, [missing, shards.shards[0]])
    wait_until_held(tmp_path, shards, [0])
    with pytest.raises(InputError, match=r"train-000099\.tar: shard is missing"):
        cache.open(shards, missing)


def test_a_folder_that_cannot_be_made_is_one_line(shards: ShardSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=rf"{tmp_path}/file/cache: .*Not a directory.*XDG_CACHE_HOME"):
        read(ShardCache(tmp_path / "file" / "cache"), shards, 0)


def _opened_from(cache: ShardCache, shards: ShardSet) -> Path:
    with cache.open(shards, shards.shards[0]) as file:
        return Path(f"/proc/self/fd/{file.fileno()}").readlink().parent


def test_the_folder_is_where_xdg_says(shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert _opened_from(ShardCache(), shards) == tmp_path / "x" / "hdna" / "shards"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "h"))
    assert _opened_from(ShardCache(), shards) == tmp_path / "h" / ".cache" / "hdna" / "shards"
