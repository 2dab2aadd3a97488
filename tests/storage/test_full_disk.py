"""A disk that fills in mid-write: one line, and nothing half-visible; for the cache and for prep."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.shard_sets import NO_PROVENANCE

from hdna import storage
from hdna.data.cache import ShardCache
from hdna.errors import InputError
from hdna.genome.shard import ShardEntry
from hdna.genome.shard_set import ShardSet
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome

MIB = 1 << 20


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with g.fa and g.zarr; two bits a base make chunks of one MiB."""
    folder = tmp_path_factory.mktemp("genome")
    write_genome(folder / "g.fa", 6 * MIB, seed=1)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def shard_set(bucket: str, sizes: list[int]) -> ShardSet:
    shards = []
    for number, size in enumerate(sizes):
        data = bytes([number]) * size
        storage.write(f"{bucket}/s{number}.tar", data)
        shards.append(ShardEntry(f"s{number}.tar", size, hashlib.sha256(data).hexdigest(), "train", 0, []))
    return ShardSet(bucket, 1, shards, {}, NO_PROVENANCE, "")


def test_the_cache_gives_way_on_a_full_disk_and_then_says_so(bucket: str, small_disk: Path) -> None:
    """The limit exceeds the disk: older copies go first, and a shard too large for an empty disk is one line."""
    shards = shard_set(bucket, [MIB * 3 // 4] * 3 + [4 * MIB])
    cache = ShardCache(small_disk / "cache", limit_bytes=1 << 30)
    for number in range(3):
        with cache.open(shards, shards.shards[number]) as file:
            assert file.read(1) == bytes([number])
    assert len(list((small_disk / "cache").glob("*.tar"))) == 2
    with pytest.raises(InputError, match=rf"{small_disk}/cache: .*No space left on device: .*XDG_CACHE_HOME") as caught:
        cache.open(shards, shards.shards[3])
    assert "\n" not in str(caught.value)
    assert not list((small_disk / "cache").glob("*.partial"))


def test_the_cache_under_a_quota_says_so_and_keeps_nothing(bucket: str, tmp_path: Path) -> None:
    """No file may exceed one MiB: a test of a full disk for machines where no file system can be mounted."""
    shards = shard_set(bucket, [2 * MIB])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
    try:
        with pytest.raises(InputError, match=rf"{tmp_path}/cache: .*File too large: .*XDG_CACHE_HOME"):
            ShardCache(tmp_path / "cache").open(shards, shards.shards[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def prep(*words: object, quota: bool = False) -> subprocess.CompletedProcess[str]:
    """`hdna prep`, with `quota` where no file may have more than half a MiB."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({MIB // 2}, {MIB // 2})); "
    code = (limit if quota else "") + "from hdna.cli import main; main()"
    command = [sys.executable, "-c", code, "prep", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_prep_under_a_quota_says_so_in_one_line_and_leaves_nothing(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for words in (["genome", genome / "g.fa"], ["shards", genome / "g.zarr"]):
        done = prep(*words, "--out", tmp_path / "out" / "set", quota=True)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        line = done.stderr.splitlines()[-1]
        assert f"{tmp_path}/out/set" in line and "File too large" in line
        assert list((tmp_path / "out").iterdir()) == []


def test_prep_on_a_full_disk_says_so_in_one_line_and_leaves_nothing(genome: Path, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(MIB))
    for words in (["genome", genome / "g.fa"], ["shards", genome / "g.zarr"]):
        done = prep(*words, "--out", small_disk / "set")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr.splitlines()[-1]
        assert [path.name for path in small_disk.iterdir()] == ["ballast"]
