"""data_prep/hg38/prepare.sh, offline: from a file:// URL to a verified shard set; one line for each failure."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "data_prep" / "hg38" / "prepare.sh"


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hdna_prep.synthetic import write_genome

    path = tmp_path_factory.mktemp("publisher") / "small.fa.gz"
    write_genome(path, 60_000, contigs=2, seed=1)
    (path.parent / "md5sum.txt").write_text(f"{'0' * 32}  other.fa.gz\n{md5(path)}  ./small.fa.gz\n")
    return path


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def prepare(*arguments: object) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
        timeout=600,
    )


def test_an_interrupted_download_goes_on_and_ends_as_a_verified_set(genome: Path, tmp_path: Path) -> None:
    """Half of the file is there already, with one wrong byte first: only its second half is fetched."""
    half = bytearray(genome.read_bytes()[: genome.stat().st_size // 2])
    part = tmp_path / "small.fa.gz.part"
    part.write_bytes(bytes([half[0] ^ 1]) + half[1:])
    damaged = prepare("small", tmp_path, genome.as_uri(), md5(genome))
    assert damaged.returncode == 1
    assert f"{tmp_path}/small.fa.gz: md5 " in damaged.stderr and f"published {md5(genome)}" in damaged.stderr
    assert not (tmp_path / "store.zarr").exists()
    (tmp_path / "small.fa.gz").unlink()
    part.write_bytes(half)
    sums = genome.with_name("md5sum.txt").as_uri()
    done = prepare("small", tmp_path, genome.as_uri(), sums, "--window", "4096", "--split-by", "contig")
    assert done.returncode == 0, done.stderr
    assert f"ready: data.shards=[{tmp_path}/shards]" in done.stdout
    assert "--split-by contig" in (tmp_path / "shards" / "manifest.json").read_text()
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tar")}
    again = prepare("small", tmp_path, genome.with_name("gone").as_uri() + "/small.fa.gz", md5(genome))
    assert again.returncode == 0, again.stderr  # nothing is fetched or made again
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tar")}


def test_a_failure_is_reported_in_one_line(genome: Path, tmp_path: Path) -> None:
    gone = genome.with_name("gone.fa.gz").as_uri()
    missing = prepare("small", tmp_path / "a", gone, md5(genome))
    assert missing.returncode == 1
    assert [line for line in missing.stderr.splitlines() if line.startswith("prepare.sh: ")] == [
        f"prepare.sh: {gone}: download failed (curl says why above); run the same command again to resume from byte 0"
    ]
    sums = genome.with_name("md5sum.txt")
    unnamed = prepare("small", tmp_path / "b", (genome.parent / "md5sum.txt").as_uri(), sums.as_uri())
    assert unnamed.returncode == 1
    assert unnamed.stderr.splitlines() == [f"prepare.sh: {sums.as_uri()}: does not list md5sum.txt"]
    usage = prepare("small", tmp_path)
    assert usage.returncode == 2 and "prepare.sh hg38 DIR" in usage.stderr
