"""An interrupted `hdna prep genome` continues where it stopped, and first verifies what it reuses."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.files import bytes_of, flip_bit

from hdna.genome import arrays
from hdna.storage.staging import InterruptedWorkError, staging
from hdna_prep import segments
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify

BASES, SEGMENT = 400_000, 16_384
CHUNKS = 2

# The real encoder on small segments, slowed down a little so that it can be killed in the middle.
SLOW = f"""
import sys, time
from hdna.genome import arrays
from hdna_prep import encode, pool, resume, segments
arrays.CHUNK_BYTES, segments.CHUNKS_PER_SEGMENT = 2048, {CHUNKS}
if __name__ == "__main__":
    put = resume.FinishedSegments.put
    resume.FinishedSegments.put = lambda *args: (put(*args), time.sleep(0.1))[0]
    with pool.processes(2) as workers:
        encode.encode_genome(sys.argv[1:-1], sys.argv[-1], pool=workers)
"""


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 2048)
    monkeypatch.setattr(segments, "CHUNKS_PER_SEGMENT", CHUNKS)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resume") / "g.fa"
    write_genome(path, BASES, contigs=3, seed=3)
    return path


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def killed(fasta: Path, folder: Path) -> Path:
    """Kill -9 an encode into `folder`/out.zarr once five segments are finished; returns the folder it left behind."""
    script = folder.parent / f"{folder.name}.py"
    script.write_text(SLOW)
    writer = subprocess.Popen([sys.executable, str(script), str(fasta), str(folder / "out.zarr")])
    while len(records := list(folder.glob(".out.zarr.*/segments/*.json"))) < 5:
        assert writer.poll() is None
        time.sleep(0.01)
    children = children_of(writer.pid)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(children) >= 2
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
    assert [path.name for path in folder.iterdir()] == [records[0].parents[1].name]
    return records[0].parents[1]


def number_of_records(left: Path) -> int:
    return len(list(left.glob("segments/*.json")))


@pytest.fixture(scope="module")
def left_once(fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return killed(fasta, tmp_path_factory.mktemp("w"))


@pytest.fixture
def left(left_once: Path, tmp_path: Path) -> Path:
    """A copy of what one killed encode has left."""
    shutil.copytree(left_once.parent, tmp_path / "w")
    return tmp_path / "w" / left_once.name


@pytest.fixture(scope="module")
def whole(fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a store whose making was never interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK_BYTES", 2048)
        patch.setattr(segments, "CHUNKS_PER_SEGMENT", CHUNKS)
        out = tmp_path_factory.mktemp("whole") / "s.zarr"
        encode_genome([str(fasta)], str(out))
    return bytes_of(out)


def test_a_killed_encode_continues_to_the_bytes_of_one_never_killed(
    fasta: Path, left: Path, whole: dict[str, bytes], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = number_of_records(left)
    chunks = [left / "store" / arrays.chunk_key("bases", number) for number in range(finished * CHUNKS)]
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in chunks}
    out = left.parent / "out.zarr"
    monkeypatch.setattr("hdna.progress._SECONDS_BETWEEN_LINES", 0.0)
    made = encode_genome([str(fasta)], str(out))
    assert 5 <= finished < BASES // SEGMENT
    assert made.reused_bases == finished * SEGMENT
    assert f"{finished} finished segments to reuse" in capfd.readouterr().err
    assert bytes_of(out) == whole
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (out / "bases" / "c").iterdir()}
    assert {name: after[name] for name in before} == before
    assert list(left.parent.iterdir()) == [out]
    assert verify(str(out)) == []


def test_damaged_leftovers_are_done_again(fasta: Path, left: Path, whole: dict[str, bytes]) -> None:
    """A chunk with a flipped bit, one that is gone, damaged columns, a damaged and a cut record: five redone."""
    finished = number_of_records(left)
    flip_bit(left / "store" / "bases" / "c" / "1")
    (left / "store" / "bases" / "c" / "3").unlink()
    flip_bit(left / "segments" / "000002.columns")
    (left / "segments" / "000003.json").write_text('{"letters_sha256": 5, "files": []}')
    record = left / "segments" / "000004.json"
    record.write_text(record.read_text()[:40])
    made = encode_genome([str(fasta)], str(left.parent / "out.zarr"))
    assert made.reused_bases == (finished - 5) * SEGMENT
    assert bytes_of(left.parent / "out.zarr") == whole


def test_other_letters_in_a_file_of_the_same_size_are_encoded(fasta: Path, left: Path, tmp_path: Path) -> None:
    finished = number_of_records(left)
    text = bytearray(fasta.read_bytes())
    place = text.index(b"ACGT", 20_000)
    text[place : place + 4] = b"TGCA"
    (tmp_path / "changed").mkdir()
    changed = tmp_path / "changed" / "g.fa"
    changed.write_bytes(bytes(text))
    made = encode_genome([str(changed)], str(left.parent / "out.zarr"))
    assert made.reused_bases == (finished - 1) * SEGMENT
    encode_genome([str(changed)], str(tmp_path / "fresh.zarr"))
    assert bytes_of(left.parent / "out.zarr") == bytes_of(tmp_path / "fresh.zarr")


def test_a_shorter_genome_keeps_no_chunk_of_a_longer_one(left: Path, fasta: Path, tmp_path: Path) -> None:
    """A file of the same name and size, but with line ends in place of its last bases."""
    lines = fasta.read_bytes().split(b"\n")
    text = b"\n".join(lines[:700])
    (tmp_path / "short").mkdir()
    short = tmp_path / "short" / "g.fa"
    short.write_bytes(text + b"\n" * (fasta.stat().st_size - len(text)))
    made = encode_genome([str(short)], str(left.parent / "out.zarr"))
    assert made.reused_bases > 0
    encode_genome([str(short)], str(tmp_path / "fresh.zarr"))
    assert bytes_of(left.parent / "out.zarr") == bytes_of(tmp_path / "fresh.zarr")


def test_what_another_file_left_is_removed(left: Path, tmp_path: Path) -> None:
    write_genome(tmp_path / "other.fa", 50_000, seed=9)
    assert encode_genome([str(tmp_path / "other.fa")], str(left.parent / "out.zarr")).reused_bases == 0
    assert [path.name for path in left.parent.iterdir()] == ["out.zarr"]


def test_two_writers_never_share_a_folder(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with staging(out, "store", "abc") as one, staging(out, "store", "abc") as other:
        assert one != other
        (one / "x").touch()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "kept"), [(KeyboardInterrupt, 1), (InterruptedWorkError, 1), (ValueError, 0)])
def test_interrupted_work_under_a_key_alone_is_kept_for_the_next_run(
    error: type[BaseException], kept: int, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    for key in ("abc", None):
        with pytest.raises(error), staging(out, "store", key) as folder:
            (folder / "done").write_text("much")
            raise error("x")
        assert len(list(tmp_path.iterdir())) == (kept if key else 0)
        with staging(out, "store", "abc") as folder:
            assert (folder / "done").exists() == bool(kept and key)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_behind_a_link_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "record.json").write_text(json.dumps({}))
    (tmp_path / ".out.abc-00.partial").symlink_to(tmp_path / "theirs")
    with staging(str(tmp_path / "out"), "store", "abc") as folder:
        assert list(folder.iterdir()) == []
    assert (tmp_path / "theirs" / "record.json").exists()
