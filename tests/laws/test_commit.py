"""The commit law for genome stores and shard sets: whole with checksums that hold, or not there."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval
from hdna.genome.shard import load_shard_set
from hdna.staging import publish, staging
from hdna_prep.encode import encode_genome, write_fasta
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify

# Both writers stop for ever in the middle of their work, after something has reached the disk.
STALL = """
import sys, time
from hdna_prep import encode, shards
from hdna.genome import store_writer
def stall(*args, **kwargs):
    print("half-written", flush=True)
    time.sleep(60)
kind, source, out = sys.argv[1:]
if kind == "store":
    store_writer.GenomeWriter.close = stall
    encode.encode_genome([source], out)
else:
    shards.manifest_body = stall
    shards.write_shards([source], out, window=5000)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with g.fa and g.zarr."""
    folder = tmp_path_factory.mktemp("source")
    write_genome(folder / "g.fa", 60_000, contigs=2, seed=1)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    return folder


@pytest.fixture
def store(source: Path, tmp_path: Path) -> Path:
    """A store of one's own to do harm to."""
    encode_genome([str(source / "g.fa")], str(tmp_path / "own.zarr"))
    return tmp_path / "own.zarr"


def make(kind: str, source: Path, out: Path) -> None:
    if kind == "store":
        encode_genome([str(source / "g.fa")], str(out))
    else:
        write_shards([str(source / "g.zarr")], str(out), window=5000)


@pytest.mark.parametrize("kind", ["store", "shards"])
def test_kill_in_mid_write_leaves_nothing_and_blocks_nothing(kind: str, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = source / ("g.fa" if kind == "store" else "g.zarr")
    command = [sys.executable, "-c", STALL, kind, str(given), str(out)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half-written\n"
    left = list(tmp_path.iterdir())
    assert any(path.is_file() for path in left[0].rglob("*"))
    assert not out.exists()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with pytest.raises(InputError, match="not a committed"):
        (GenomeStore.open if kind == "store" else load_shard_set)(str(out))
    make(kind, source, out)
    assert verify(str(out)) == []
    assert list(tmp_path.iterdir()) == [out]


def test_a_writer_at_work_is_not_taken_for_an_abandoned_one(source: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.zarr")
    with staging(out, "genome store") as folder:
        (folder / "file").write_bytes(b"x")
        make("store", source, tmp_path / "out.zarr")
        assert (folder / "file").exists()
        with pytest.raises(InputError, match="already stands there"):
            publish(folder, out, "genome store", {"format": "hdna-genome"}, {})
    assert verify(out) == []


@pytest.mark.parametrize("kind", ["store", "shards"])
def test_existing_target_is_refused_and_untouched(kind: str, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(kind, source, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="never overwritten"):
        make(kind, source, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_existing_target_is_refused_before_any_work(source: Path, tmp_path: Path) -> None:
    make("store", source, tmp_path / "out.zarr")
    with pytest.raises(InputError, match="never overwritten"):
        encode_genome([str(tmp_path / "there-is-no-such.fa")], str(tmp_path / "out.zarr"))


def test_a_folder_of_something_else_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match="something else already stands there"):
        make("store", source, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "three years"


def test_existing_fasta_is_refused(source: Path) -> None:
    before = (source / "g.fa").read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        write_fasta(str(source / "g.zarr"), str(source / "g.fa"))
    assert (source / "g.fa").read_bytes() == before


def chunks(store: Path) -> list[Path]:
    return [path for path in store.rglob("c/*") if path.is_file()]


def test_every_deleted_chunk_is_noticed_at_open(store: Path) -> None:
    assert len(chunks(store)) >= 5
    for path in chunks(store):
        data = path.read_bytes()
        path.unlink()
        with pytest.raises(InputError, match="is missing: the genome store is damaged"):
            GenomeStore.open(str(store))
        path.write_bytes(data)


def test_every_flipped_bit_of_a_chunk_is_noticed_when_read(store: Path) -> None:
    """Of 60 places over all arrays, none goes by in silence; the error names the store."""
    for path in chunks(store):
        data = path.read_bytes()
        for place in range(0, len(data), max(1, len(data) // 12)):
            broken = bytearray(data)
            broken[place] ^= 16
            path.write_bytes(bytes(broken))
            with pytest.raises(InputError, match=str(store)):
                read_all(store)
            assert verify(str(store)), place
        path.write_bytes(data)
    read_all(store)


def read_all(store: Path) -> None:
    opened = GenomeStore.open(str(store))
    for contig, length in opened.contigs.items():
        opened.read_ascii(Interval(contig, 0, length))


def test_truncated_chunk_and_missing_manifest(store: Path) -> None:
    path = chunks(store)[0]
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(InputError, match="its manifest says"):
        GenomeStore.open(str(store))
    path.write_bytes(data)
    (store / "manifest.json").unlink()
    with pytest.raises(InputError, match="not a committed genome store"):
        GenomeStore.open(str(store))


def test_an_error_in_mid_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.fa").write_bytes(b">a\n" + b"ACGT\n" * 500_000 + b">b\nACQT\n")
    started = time.monotonic()
    with pytest.raises(InputError, match=r"bad\.fa:500003:3"):
        encode_genome([str(tmp_path / "bad.fa")], str(tmp_path / "out.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.fa"]
    assert time.monotonic() - started < 20


def test_a_full_disk_is_one_line(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hdna_prep.tar.ShardFile.add", full)
    with pytest.raises(InputError, match="No space left on device: nothing was written"):
        make("shards", source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_unknown_contig_and_range_are_explained(source: Path) -> None:
    store = GenomeStore.open(str(source / "g.zarr"))
    with pytest.raises(InputError, match="no contig 'chr11'; the nearest name is 'chr1'"):
        store.read(Interval("chr11", 0, 1))
    with pytest.raises(InputError, match="past the end of chr1, which has 30000 bases"):
        store.read(Interval("chr1", 0, 30_001))
