"""A shard that changes while training reads it: its size or time betrays it at once, its bytes in about an epoch."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.shard_sets import TRAIN

from hdna.data.cache import ShardCache
from hdna.data.open_shard import OpenShard
from hdna.data.order import Crop, Crops
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.shard import SampleEntry
from hdna.genome.shard_set import ShardSet, load_shard_set


@pytest.fixture
def shards(tiny_set: Path, tmp_path: Path) -> ShardSet:
    """A copy that the test may change."""
    return load_shard_set(str(shutil.copytree(tiny_set, tmp_path / "set")))


@pytest.fixture
def cache() -> ShardCache:
    return ShardCache()


@pytest.fixture
def reader(shards: ShardSet, cache: ShardCache) -> WindowReader:
    """A reader that has read every window once."""
    reader = WindowReader([shards], "train", cache)
    read_epoch(reader)
    return reader


def read_epoch(reader: WindowReader) -> list[bytes]:
    """Every window, whole."""
    return [reader.read(Crop(window, 0, "+"), reader.bases(window))[0].tobytes() for window in range(len(reader))]


def shard_path(shards: ShardSet) -> Path:
    return Path(shards.url) / TRAIN


def sample_with_mask(shards: ShardSet) -> SampleEntry:
    return next(sample for sample in shards.shards[0].samples if sample.mask_offset is not None)


def overwrite(path: Path, place: int, data: bytes) -> None:
    """In place: the same file, of the same size."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def change_tokens(shards: ShardSet) -> None:
    overwrite(shard_path(shards), sample_with_mask(shards).offset + 5, b"\x0b\x07\x0b\x07")


def change_mask(shards: ShardSet) -> None:
    place = sample_with_mask(shards).mask_offset
    assert place is not None
    before = shard_path(shards).read_bytes()[place]
    overwrite(shard_path(shards), place, bytes([1 - before]))


def with_its_time_restored(shards: ShardSet, change: Callable[[ShardSet], object]) -> None:
    status = shard_path(shards).stat()
    change(shards)
    os.utime(shard_path(shards), ns=(status.st_atime_ns, status.st_mtime_ns))


def refused(call: Callable[[], object], shards: ShardSet, why: str) -> None:
    with pytest.raises(InputError, match=rf"{shard_path(shards)}: .*{why}") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [change_tokens, change_mask])
def test_a_changed_shard_is_refused_at_the_next_read(
    change: Callable[[ShardSet], object], shards: ShardSet, cache: ShardCache, reader: WindowReader
) -> None:
    """By the reader that has it open, and by a new one of the same cache, which had verified it."""
    change(shards)
    refused(lambda: reader.read(Crop(0, 0, "+"), 10), shards, "damaged: .* sha256 .* its manifest says")
    other = WindowReader([shards], "train", cache)
    refused(lambda: other.read(Crop(0, 0, "+"), 10), shards, "damaged: .* sha256 .* its manifest says")


@pytest.mark.parametrize(("change", "field"), [(change_tokens, "seq.npy"), (change_mask, "mask.npy")])
def test_a_change_that_hides_is_found_before_its_window_has_been_read_twice(
    change: Callable[[ShardSet], object], field: str, shards: ShardSet, cache: ShardCache, reader: WindowReader
) -> None:
    """Size and time are those of the admitted file: only the window's own checksum tells. The second time in crops."""
    with_its_time_restored(shards, change)
    key = sample_with_mask(shards).key

    def read_crops() -> None:
        for window in range(len(reader)):
            offsets = range(0, reader.bases(window) - 99, 100)
            reader.read_batch(Crops.of([Crop(window, offset, "-") for offset in offsets]), 100)

    refused(read_crops, shards, f"{key}.{field} has changed since it was admitted: make")
    other = WindowReader([shards], "train", cache)  # the cache believes size and time
    refused(lambda: other.read(Crop(0, 0, "+"), 10), shards, f"{field} data do not have the crc32c of the manifest")


def test_checking_never_costs_more_than_reading(reader: WindowReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window is checked again once more than its bases have been read: each second time that it is read whole."""
    checked: list[str] = []
    monkeypatch.setattr(OpenShard, "check", lambda shard, sample: checked.append(sample.key))
    for _ in range(6):
        read_epoch(reader)
    assert Counter(Counter(checked).values()) == {3: len(reader)}


def test_a_shard_truncated_while_it_is_open_is_refused(
    shards: ShardSet, cache: ShardCache, reader: WindowReader
) -> None:
    size = shard_path(shards).stat().st_size
    with_its_time_restored(shards, lambda shards: os.truncate(shard_path(shards), size // 2))
    refused(lambda: read_epoch(reader), shards, f"damaged: {size // 2} bytes")
    refused(lambda: read_epoch(WindowReader([shards], "train", cache)), shards, f"damaged: {size // 2} bytes")


def test_a_shard_truncated_between_the_look_and_the_read_is_refused(
    shards: ShardSet, reader: WindowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(shard_path(shards), 10_000)
    monkeypatch.setattr(OpenShard, "changed", lambda shard: False)
    refused(lambda: read_epoch(reader), shards, "was truncated while it was in use: make the set again, or copy it")


def rewrite(path: Path) -> None:
    overwrite(path, 0, path.read_bytes())


def replace_by_other(path: Path) -> None:
    path.with_name("new").write_bytes(b"other")
    path.with_name("new").rename(path)


@pytest.mark.parametrize("harmless", [os.utime, rewrite, Path.unlink, replace_by_other])
def test_a_shard_that_is_touched_or_loses_its_name_is_read_on(
    harmless: Callable[[Path], object], shards: ShardSet, reader: WindowReader
) -> None:
    """What was admitted is what is read: an open file stays when its name goes."""
    before = read_epoch(reader)
    harmless(shard_path(shards))
    assert read_epoch(reader) == before


def test_reads_that_come_in_pieces_are_put_together(
    shards: ShardSet, reader: WindowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may return less than was asked for: at most 2 GiB, or what had come when a signal arrived."""
    before, preadv = read_epoch(reader), os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, rows, start: preadv(file, [rows[0][:300]], start))
    assert read_epoch(reader) == before


def test_a_disk_that_fails_is_one_line(shards: ShardSet, reader: WindowReader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fails)
    refused(lambda: read_epoch(reader), shards, r"cannot be read \(Input/output error\)")


def test_more_shards_than_may_be_open_at_once_are_read(shards: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one used longest ago is closed, and admitted again when it is needed."""
    monkeypatch.setattr("hdna.data.stream._MAX_OPEN_SHARDS", 1)
    reader = WindowReader([shards, shards], "train", ShardCache())
    windows = read_epoch(reader)
    opened = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert sum(path.is_relative_to(shards.url) for path in opened) == 1
    assert windows[: len(windows) // 2] == windows[len(windows) // 2 :]
    assert read_epoch(reader) == windows
