"""The commit law for genome stores and shard sets: whole with checksums that hold, or not there."""

import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import google_crc32c
import numcodecs.zstd
import pytest
from support.files import bytes_of
from support.manifests import edit_listed, write_listed

from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval
from hdna.genome.shard_set import load_shard_set
from hdna.genome.store import FORMAT
from hdna.storage.staging import publish, staging
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
    """A store that the test may damage."""
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
    with staging(out, FORMAT.noun) as folder:
        (folder / "file").write_bytes(b"x")
        make("store", source, tmp_path / "out.zarr")
        assert (folder / "file").exists()
        with pytest.raises(InputError, match="already exists there"):
            publish(folder, out, FORMAT, {}, {})
    assert verify(out) == []


@pytest.mark.parametrize("kind", ["store", "shards"])
def test_existing_target_is_refused_and_untouched(kind: str, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(kind, source, out)
    before = bytes_of(out)
    with pytest.raises(InputError, match="never overwritten"):
        make(kind, source, out)
    assert bytes_of(out) == before


def test_existing_target_is_refused_before_any_work(source: Path, tmp_path: Path) -> None:
    make("store", source, tmp_path / "out.zarr")
    with pytest.raises(InputError, match="never overwritten"):
        encode_genome([str(tmp_path / "there-is-no-such.fa")], str(tmp_path / "out.zarr"))


def test_a_folder_of_something_else_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(InputError, match="something else already exists there"):
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


def test_truncated_chunk_and_missing_manifest_are_refused(store: Path) -> None:
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

    monkeypatch.setattr("hdna_prep.shard_file.ShardFile.add", full)
    with pytest.raises(InputError, match=r"No space left on device: free space.*: nothing was written"):
        make("shards", source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_unknown_contig_and_range_are_explained(source: Path) -> None:
    store = GenomeStore.open(str(source / "g.zarr"))
    with pytest.raises(InputError, match="no contig 'chr11'; the nearest name is 'chr1'"):
        store.read(Interval("chr11", 0, 1))
    with pytest.raises(InputError, match="past the end of chr1, which has 30000 bases"):
        store.read(Interval("chr1", 0, 30_001))


def test_a_chunk_deleted_after_open_is_never_read_as_zeros(store: Path) -> None:
    """Zarr itself would give A A A A …: what a chunk of zeros stands for."""
    opened = GenomeStore.open(str(store))
    (store / "bases" / "c" / "0").unlink()
    with pytest.raises(InputError, match=r"own\.zarr/bases/c/0 is missing: the genome store is damaged"):
        opened.read(Interval("chr1", 0, 100))


def sealed_chunk(frame: bytes) -> bytes:
    checksum: int = google_crc32c.value(frame)
    return frame + checksum.to_bytes(4, "little")


def frame_of_unknown_size(data: bytes) -> bytes:
    """The frame a streaming compressor writes, by RFC 8878: no content size, one raw block."""
    return bytes.fromhex("28b52ffd") + b"\x00\x58" + ((len(data) << 3) | 1).to_bytes(3, "little") + data


ZSTD = numcodecs.zstd.Zstd(level=5)
BOMB = ZSTD.encode(bytes(1 << 28))
HOSTILE = [
    ("bomb", BOMB, "declares 268435456 bytes, but a chunk has at most 1048576"),
    ("unknown size", frame_of_unknown_size(b"ACGT"), "does not declare its size"),
    ("two frames", ZSTD.encode(bytes(1 << 20)) * 2, "ends at byte"),
    ("a size that lies", BOMB[:5] + (1 << 20).to_bytes(4, "little") + BOMB[9:], "the genome store is damaged"),
    ("cut short", ZSTD.encode(bytes(1 << 20))[:-3], "zstd frame"),
    ("no zstd", b"ACGT" * 100, "not a zstd frame"),
    ("empty", b"", "not a zstd frame"),
]


@pytest.mark.parametrize("column", ["bases", "contig_names", "n_runs"])
@pytest.mark.parametrize(("frame", "what"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_chunk_that_asks_for_too_much_is_refused_unread(column: str, frame: bytes, what: str, store: Path) -> None:
    """Every checksum holds, but the frame would fill the memory: 256 MiB from 8 KiB."""
    assert len(BOMB) < 33_000
    write_listed(store / "manifest.json", f"{column}/c/0", sealed_chunk(frame))
    tracemalloc.start()
    with pytest.raises(InputError, match=what) as error:
        read_all(store)
    assert str(store) in str(error.value)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    assert any(what in problem for problem in verify(str(store)))


def test_other_codecs_are_refused(store: Path) -> None:
    """A codec of the file's own choice would pass by the check of the zstd frame."""
    gzip = {"name": "gzip", "configuration": {"level": 1}}
    edit_listed(store / "manifest.json", "bases/zarr.json", lambda body: body["codecs"].insert(1, gzip))
    with pytest.raises(InputError, match=r"bases is coded by .*Gzip.*, not by zstd and crc32c"):
        GenomeStore.open(str(store))


def test_a_length_without_chunks_to_fill_it_is_refused(store: Path) -> None:
    """A header that promises 2^50 names would be read as that many zeros."""
    edit_listed(store / "manifest.json", "contig_names/zarr.json", lambda body: body.update(shape=[1 << 50]))
    with pytest.raises(InputError, match="contig_names has 1073741824 chunks, but the manifest lists 1"):
        GenomeStore.open(str(store))
