"""Stores and shard sets are the same bytes whatever the number of workers, and wherever they run."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.files import bytes_of

from hdna.errors import InputError
from hdna.genome import arrays
from hdna.genome.packing import JoinedRuns, RunLengths
from hdna.storage.staging import InterruptedWorkError
from hdna_prep import segments, shards, work_done
from hdna_prep.encode import encode_genome
from hdna_prep.pool import InThisProcess, P, T, in_order, processes
from hdna_prep.shard_file import ShardFile
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 16,384 bases in two chunks."""
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 2048)
    monkeypatch.setattr(segments, "CHUNKS_PER_SEGMENT", 2)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150,000 bases in 7 contigs, with ambiguity codes, N runs and soft masks: ten small segments."""
    path = tmp_path_factory.mktemp("parallel") / "g.fa"
    write_genome(path.with_name("plain.fa"), 150_000, contigs=7, seed=2)
    path.write_text(path.with_name("plain.fa").read_text().replace("ACCA", "AYCR").replace("TTAG", "uNnG"))
    return path


@pytest.mark.usefixtures("small_segments")
def test_stores_of_1_2_and_3_workers_are_the_same_bytes(fasta: Path, tmp_path: Path) -> None:
    for workers in (1, 2, 3):
        with processes(workers) as pool:
            made = encode_genome([str(fasta)], str(tmp_path / f"{workers}.zarr"), pool=pool)
        assert (made.bases, made.contigs, made.reused_bases) == (150_000, 7, 0)
    one = bytes_of(tmp_path / "1.zarr")
    assert sum(name.startswith("bases/c/") for name in one) == 19
    assert bytes_of(tmp_path / "2.zarr") == one
    assert bytes_of(tmp_path / "3.zarr") == one
    assert verify(str(tmp_path / "3.zarr")) == []


def test_the_segment_length_changes_no_byte(fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten segments joined are what one segment is: the counts, the runs and the codes across borders too."""
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 2048)
    for chunks in (1, 3, 1000):
        monkeypatch.setattr(segments, "CHUNKS_PER_SEGMENT", chunks)
        encode_genome([str(fasta)], str(tmp_path / f"{chunks}.zarr"))
    assert bytes_of(tmp_path / "1.zarr") == bytes_of(tmp_path / "3.zarr") == bytes_of(tmp_path / "1000.zarr")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=8))
def test_joined_runs_are_those_of_the_whole(pieces: list[list[bool]]) -> None:
    joined, out = JoinedRuns(), []
    for piece in pieces:
        runs = RunLengths()
        out += [*joined.join(np.concatenate([runs.feed(np.array(piece)), runs.close()]))]
    out += [*joined.close()]
    flags = [flag for piece in pieces for flag in piece]
    assert np.repeat(np.arange(len(out)) % 2 == 1, out).tolist() == flags
    whole = RunLengths()
    assert out == [*whole.feed(np.array(flags)), *whole.close()]


def test_a_joined_run_longer_than_a_uint32_is_continued() -> None:
    joined = JoinedRuns()
    out = np.concatenate([joined.join(np.array([2**31 - 1], np.uint32)) for _ in range(3)] + [joined.close()])
    assert out.tolist() == [2**32 - 1, 0, 3 * (2**31 - 1) - (2**32 - 1)]


class _Backwards:
    """A pool whose pieces are done only when they are waited for, the newest of them first."""

    workers = 4

    def __init__(self) -> None:
        self.order: list[int] = []
        self._todo: list[tuple[int, Callable[[], None]]] = []
        self._count = 0

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        result: list[T] = []
        self._todo.append((self._count, lambda: result.append(function(*args, **kwargs))))
        self._count += 1

        def wait() -> T:
            while self._todo:
                number, work = self._todo.pop()
                self.order.append(number)
                work()
            return result[0]

        return wait


@pytest.mark.usefixtures("small_segments")
def test_pieces_that_end_in_another_order_change_nothing(fasta: Path, tmp_path: Path) -> None:
    encode_genome([str(fasta)], str(tmp_path / "one.zarr"))
    pool = _Backwards()
    encode_genome([str(fasta)], str(tmp_path / "other.zarr"), pool=pool)
    assert pool.order != sorted(pool.order)
    assert bytes_of(tmp_path / "one.zarr") == bytes_of(tmp_path / "other.zarr")


def hear(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The amounts that the bar of `write_shards` is told, asked for often."""
    told: list[float] = []
    monkeypatch.setattr(shards, "progress", lambda total, what, unit: nullcontext(told.append))
    monkeypatch.setattr(work_done, "_SECONDS", 0.001)
    return told


def test_the_bar_moves_while_the_first_shard_is_written(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each window that is written, the thread has time to tell of those before it."""
    told, heard = hear(monkeypatch), list[float]()
    add = ShardFile.add

    def slowly(self: ShardFile, *window: Any) -> None:  # noqa: ANN401
        time.sleep(0.02)
        heard.append(sum(told))
        add(self, *window)

    monkeypatch.setattr(ShardFile, "add", slowly)
    written = write_shards([str(made / "g.zarr")], str(tmp_path / "set"), window=2000)
    first = heard[: len(written.shards[0].samples)]
    assert 0 < first[0] < first[-1] < written.shards[0].bases
    assert sum(told) == sum(shard.bases for shard in written.shards)


@pytest.mark.parametrize("in_manifest", [0, shards._MAX_WINDOWS_IN_MANIFEST])
def test_shards_of_1_2_and_3_workers_are_the_same_bytes(
    in_manifest: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without an index."""
    monkeypatch.setattr(shards, "_SHARD_BASES", 15_000)
    monkeypatch.setattr(shards, "_MAX_WINDOWS_IN_MANIFEST", in_manifest)
    told = hear(monkeypatch)
    for workers in (1, 2, 3):
        told.clear()
        with processes(workers) as pool:
            written = write_shards([str(made / "g.zarr")], str(tmp_path / str(workers)), window=2000, pool=pool)
        assert sum(told) == sum(shard.bases for shard in written.shards), "what the workers have done is told"
    one = bytes_of(tmp_path / "1")
    assert len(one) > 8 and ("lengths.npy" in one) == (in_manifest == 0)
    assert bytes_of(tmp_path / "2") == one
    assert bytes_of(tmp_path / "3") == one
    assert verify(str(tmp_path / "3")) == []


@pytest.mark.usefixtures("small_segments")
def test_bad_letters_late_in_the_file_leave_nothing(fasta: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.fa").write_bytes(fasta.read_bytes() + b"ACQT\n")
    with processes(2) as pool, pytest.raises(InputError, match=r"bad\.fa:\d+:3"):
        encode_genome([str(tmp_path / "bad.fa")], str(tmp_path / "out.zarr"), pool=pool)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.fa"]


def _disk_full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_of_a_worker_is_one_line(made: Path, tmp_path: Path) -> None:
    with (
        processes(2) as pool,
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(InputError, match=r"No space left on device: free space.*: nothing was written"),
    ):
        patch.setattr(shards, "write_shard", _disk_full)
        write_shards([str(made / "g.zarr")], str(tmp_path / "out"), window=2000, pool=pool)
    assert list(tmp_path.iterdir()) == []


def _die() -> None:
    os._exit(9)


def test_a_worker_that_dies_is_explained(tmp_path: Path) -> None:
    with processes(2) as pool, pytest.raises(InterruptedWorkError, match=r"a worker process died.*fewer --workers"):
        pool.submit(_die)()


def test_at_most_one_piece_more_than_there_are_workers_is_in_progress() -> None:
    most, open_now = 0, 0

    def piece(number: int) -> Callable[[], int]:
        return lambda: number

    def started() -> Iterator[Callable[[], int]]:
        nonlocal most, open_now
        for number in range(20):
            open_now += 1
            most = max(most, open_now)
            yield piece(number)

    class Three(InThisProcess):
        workers = 3

    for number, expected in zip(in_order(Three(), started()), range(20), strict=True):
        open_now -= 1
        assert number == expected
    assert most == 4


def test_memory_is_bounded_whatever_the_contig_length(tmp_path: Path) -> None:
    """One contig of 200 million bases with two workers: no process reaches 400 MB, all three together not 1 GB."""
    line = b"ACGGTTACGATCGATTACGACTAGCTACGATCAGCTACTACGATCGATCAGCATCTACAA\n"
    with (tmp_path / "long.fa").open("wb") as file:
        file.write(b">one\n")
        for _ in range(34):
            file.write(line * 100_000)
    code = """
import resource, sys
from hdna_prep.encode import encode_genome
from hdna_prep.pool import processes
if __name__ == "__main__":
    with processes(2) as pool:
        made = encode_genome([sys.argv[1]], sys.argv[2], pool=pool)
    # Of this process the kernel's own mark: ru_maxrss begins with that of the test process it was started from.
    here = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
    print(made.bases, here, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    (tmp_path / "run.py").write_text(code)
    words = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "long.fa"), str(tmp_path / "s.zarr")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    bases, here, worker = (int(word) for word in done.stdout.split())
    assert bases == 34 * 100_000 * (len(line) - 1)
    assert here < 400_000
    assert worker < 400_000
    assert here + 2 * worker < 1_000_000


def test_the_packed_chunks_are_what_zarr_itself_writes(tmp_path: Path) -> None:
    """Chunks encoded apart are those of an array that Zarr writes whole."""
    packed = np.frombuffer(hashlib.shake_128(b"x").digest(10_000), np.uint8)
    whole = arrays.create_array(arrays.create_group(tmp_path / "z"), "bases", packed.size, 4096)
    whole[:] = packed
    expected = [(tmp_path / "z" / arrays.chunk_key("bases", number)).read_bytes() for number in range(3)]
    assert arrays.encode_chunks(packed, 4096) == expected
