"""Large shard sets: samples in parts beside the shards, and the lengths of all windows, read when they are needed."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.files import bytes_of
from support.manifests import Body, Change, edit_manifest, write_listed
from support.shard_sets import READERS, refusal, train_on

from hdna import storage
from hdna.config import Stage
from hdna.data.cache import ShardCache
from hdna.data.curriculum import Curriculum
from hdna.data.order import Crop, DataOrder, window_table
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.shard import SampleEntry, ShardEntry
from hdna.genome.shard_set import FORMAT, load_shard_set
from hdna.genome.window_lengths import WindowLengths, lengths_bytes, lengths_of
from hdna.storage.manifest import Manifest, describe_bytes
from hdna_prep.shards import _MAX_WINDOWS_IN_MANIFEST, write_shards
from hdna_prep.verify import verify

PART, LENGTHS = "train-000001.json", "lengths.npy"


def manifest_of(folder: Path) -> Body:
    body: Body = json.loads((folder / "manifest.json").read_bytes())
    return body


def test_the_manifest_moves_the_samples_and_nothing_else(indexed: Path, small: Path) -> None:
    """One more window makes the difference; the tars are the same bytes. Read here without hdna."""
    many, ordinary = manifest_of(indexed), manifest_of(small / "set-of-many")
    parts = {shard["url"]: shard["url"].replace(".tar", ".json") for shard in ordinary["shards"]}
    rows = []
    for shard in ordinary["shards"]:
        samples = shard.pop("samples")
        assert json.loads((indexed / parts[shard["url"]]).read_bytes()) == samples
        shard["windows"] = len(samples)
        rows += sorted(Counter(sample["end"] - sample["start"] - 1 for sample in samples).items())
    assert np.load(indexed / LENGTHS, allow_pickle=False).tolist() == [list(row) for row in rows]
    for name in (*parts.values(), LENGTHS):
        entry = describe_bytes((indexed / name).read_bytes())
        assert many["files"].pop(name) == {"bytes": entry.bytes, "sha256": entry.sha256}
    assert many.pop("sha256") != ordinary.pop("sha256")
    assert many == ordinary
    tars = {name: data for name, data in bytes_of(small / "set-of-many").items() if name.endswith(".tar")}
    assert {name: data for name, data in bytes_of(indexed).items() if name.endswith(".tar")} == tars


def test_the_document_says_how_many_windows_a_manifest_takes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert f"A set of more than {_MAX_WINDOWS_IN_MANIFEST:,} windows" in text


def test_both_forms_say_and_hold_the_same(indexed: Path, small: Path) -> None:
    train_on(indexed)
    assert verify(str(indexed)) == verify(str(small / "set-of-many")) == []
    many, ordinary = load_shard_set(str(indexed)), load_shard_set(str(small / "set-of-many"))
    assert [list(shard.samples) for shard in many.shards] == [list(shard.samples) for shard in ordinary.shards]
    assert many.totals == ordinary.totals
    readers = [WindowReader([shard_set], "train", ShardCache()) for shard_set in (many, ordinary)]
    for window in range(6):
        crop = Crop(window, 3, "-")
        (one, mask), (other, other_mask) = (reader.read(crop, 900) for reader in readers)
        assert np.array_equal(one, other) and np.array_equal(mask is None or mask, other_mask is None or other_mask)


def test_a_reader_reads_the_parts_it_needs_once(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = storage.read

    def noted(url: str) -> bytes:
        asked.append(Path(url).name)
        return read(url)

    monkeypatch.setattr(storage, "read", noted)
    reader = WindowReader([load_shard_set(str(indexed))], "train", ShardCache())
    assert len(reader) == 6 and asked == ["manifest.json"]
    for _ in range(3):
        reader.read(Crop(2, 0, "+"), reader.bases(2))
    assert asked == ["manifest.json", PART]


def sample(**fields: object) -> Callable[[list[Body]], object]:
    """Fields of the first window of a part."""
    return lambda samples: samples[0].update(fields)


def part(change: Callable[[Any], object], name: str = PART) -> Callable[[Path], None]:
    """A change to a part, with every checksum made to fit."""

    def apply(folder: Path) -> None:
        samples = json.loads((folder / name).read_bytes())
        change(samples)
        write_listed(folder / "manifest.json", name, json.dumps(samples).encode())

    return apply


def lengths(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Other rows of the lengths, likewise."""

    def apply(folder: Path) -> None:
        rows = change(np.load(folder / LENGTHS))
        write_listed(folder / "manifest.json", LENGTHS, lengths_bytes([rows]))

    return apply


def same_key(samples: list[Body]) -> None:
    samples[1]["key"] = samples[0]["key"]


def written(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: write_listed(folder / "manifest.json", name, data)


def said(change: Change) -> Callable[[Path], None]:
    return lambda folder: edit_manifest(folder / "manifest.json", change)


def moved_window(body: Body) -> None:
    """A window more in one shard, and one less in the next."""
    body["shards"][0]["windows"] += 1
    body["shards"][1]["windows"] -= 1


def without_shards(body: Body) -> None:
    body.update(shards=[], totals={}, files={LENGTHS: body["files"][LENGTHS]})


def row(number: int, column: int, value: int) -> Callable[[Path], None]:
    def change(rows: Any) -> Any:  # noqa: ANN401 - an array
        rows[number, column] = value
        return rows

    return lengths(change)


def bare(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """As an accident makes it."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


LAST = "train-000002.tar"
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a digit of a part": (bare(PART, lambda data: data.replace(b"0", b"1", 1)), f"{PART} does not have the sha256"),
    "a part cut short": (bare(PART, lambda data: data[:-9]), f"{PART} has .* bytes, its manifest says"),
    "no part": (lambda folder: (folder / PART).unlink(), f"{PART} is missing"),
    "a part of another format": (written(PART, b"PAR1"), f"{PART}: not valid JSON"),
    "a part that is an object": (written(PART, b"{}"), f"{PART}: not as its format says"),
    "a part nested deeply": (written(PART, b'[{"x":' + b"[" * 100_000), f"{PART}: not valid JSON .nested too deeply"),
    "a window left out": (part(lambda samples: samples.pop()), f"{PART}: it has 1 windows, but its manifest says 2"),
    "a window too many": (part(lambda samples: samples.append(samples[0])), f"{PART}: it has 3 windows"),
    "a window twice": (part(same_key), f"{PART}: .*key w[0-9]+ is used twice"),
    "a key that is a path": (part(sample(key="../w000000003")), rf"{PART}: .*\$\[0\].key"),
    "a start past 64 bits": (part(sample(start=2**64)), rf"{PART}: .*\$\[0\].start"),
    "an end before the start": (part(sample(end=0)), f"{PART}: w.* bases, but the set's windows have 2 to 1001"),
    "tokens outside the shard": (part(sample(offset=10**6)), f"{PART}: w.*: its data lie outside the shard"),
    "tokens elsewhere": (part(sample(offset=1700)), "not at the manifest's offset"),
    "another crc32c": (part(sample(crc32c=1)), "do not have the crc32c of the manifest"),
    "another contig": (part(sample(contig="two")), "json member differs|not what its windows add up to"),
    "windows in another order": (part(list.reverse), "is not where the manifest's samples, in order, have it"),
    "a bit of the lengths": (bare(LENGTHS, lambda data: data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]), LENGTHS),
    "lengths cut short": (bare(LENGTHS, lambda data: data[:-8]), f"{LENGTHS}: it does not have the bytes and sha256"),
    "no lengths": (lambda folder: (folder / LENGTHS).unlink(), f"{LENGTHS} is missing"),
    "an empty file of lengths": (written(LENGTHS, b""), f"{LENGTHS}: its windows are not those"),
    "a pickle of lengths": (written(LENGTHS, b"\x80\x04" * 100), f"{LENGTHS}: it is not the .npy file"),
    "half a row of lengths": (lambda folder: written(LENGTHS, (folder / LENGTHS).read_bytes() + b"abcd")(folder),
                              f"{LENGTHS}: it ends within a row"),
    "a longer window": (row(0, 0, 1001), f"{LENGTHS}: it has windows of other than 2 to 1001 bases"),
    "a window of one base": (row(0, 0, 0), f"{LENGTHS}: it has windows of other than 2 to 1001 bases"),
    "a window fewer": (row(0, 1, 1), f"{LENGTHS}: its windows are not those of the shards"),
    "4,294,967,295 windows": (row(0, 1, 2**32 - 1), f"{LENGTHS}: its windows are not those of the shards"),
    "a shard of lengths twice": (lengths(lambda rows: np.concatenate([rows, rows[:1]])), "not those of the shards"),
    "shorter windows": (row(0, 0, 500), f"{LENGTHS}: its lengths are not those of .* in train-000000.tar"),
    "windows in another shard": (said(moved_window), f"{LENGTHS}: its windows are not those of the shards"),
    "no windows": (said(lambda body: body["shards"][0].update(windows=0)), r"\$.shards\[0\].windows"),
    "2**40 windows": (said(lambda body: body["shards"][0].update(windows=2**40)), "too small for 1099511627776"),
    "samples in the manifest too": (said(lambda body: body["files"].pop(LENGTHS)), r"lacks|missing|`samples`"),
    "a part that is not listed": (said(lambda body: body["files"].pop(PART)), "shards and its file table differ"),
    "a file too many": (said(lambda body: body["files"].update({"x.json": body["files"][PART]})), "file table differ"),
    "another shard's name": (said(lambda body: body["shards"][0].update(url=LAST)), "file table differ"),
    "no shards": (said(without_shards), f"{LENGTHS}: its windows are not those of the shards"),
    "other totals": (said(lambda body: body["totals"]["train"].update(windows=5)), "totals of train are not its 6"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_index_is_refused_by_the_name_of_its_file(change: str, reader: str, indexed: Path) -> None:
    apply, why = CHANGES[change]
    apply(indexed)
    told = refusal(reader, indexed)
    assert re.search(why, told), told


def other_bases(body: Body) -> None:
    """A base more in one shard, and one less in the next: all of them could be."""
    body["shards"][0]["bases"] -= 1
    body["shards"][1]["bases"] += 1


AMONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a key of two shards": (part(sample(key="w000000003")), "manifest.json: .*: key w000000003 is used twice"),
    "a base in two splits": (part(sample(start=0, end=1001), "valid-000000.json"), "overlap on one of g"),
    "bases of another shard": (said(other_bases), "bases are not what its windows add up to"),
}


@pytest.mark.parametrize("change", AMONG)
def test_what_only_all_parts_together_contradict_is_found_by_verify(change: str, indexed: Path) -> None:
    apply, why = AMONG[change]
    apply(indexed)
    load_shard_set(str(indexed))
    problems = verify(str(indexed))
    assert problems and all(problem.startswith(str(indexed)) for problem in problems)
    assert re.search(why, problems[0]), problems


def test_lengths_that_are_not_the_windows_own_are_found_by_verify_and_by_the_order(indexed: Path) -> None:
    """Two windows of 1,001 bases said to have 901 and 1,101: nothing else differs, and the crops of 1,000 do."""
    edit_manifest(indexed / "manifest.json", lambda body: body.update(window=1100))
    both = np.array([[900, 1], [1100, 1]], "<u4")
    lengths(lambda rows: np.concatenate([both, rows[1:]]))(indexed)
    (problem,) = verify(str(indexed))
    assert problem.startswith(f"{indexed}/{LENGTHS}: not the lengths of the windows: ")
    curriculum = Curriculum([Stage(1000, 10**6)], 1000)
    order = DataOrder([window_table(load_shard_set(str(indexed)), "train")], curriculum, seed=1)
    with pytest.raises(InputError, match=rf"{indexed}/train-000000.tar: its windows do not have .* in {LENGTHS}: "):
        order.batch(0)


def test_a_writer_refuses_what_a_reader_would(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdna_prep.shards._MAX_WINDOWS_IN_MANIFEST", 8)
    monkeypatch.setattr("hdna_prep.shards.SetIndex.close", lambda index: index._write(LENGTHS, b"x" * 136))
    with pytest.raises(InputError, match=r"not the \.npy file"):
        write_shards([str(small / "g.zarr")], str(tmp_path / "set"), str(small / "splits.bed"), window=1000)
    assert list(tmp_path.iterdir()) == []


def shard_of(windows: list[int]) -> ShardEntry:
    """A shard of windows of so many bases."""
    samples = [SampleEntry("w000000000", "g", "one", 0, bases, 0, 0, None, None) for bases in windows]
    return ShardEntry("train-000000.tar", 10**9, "", "train", sum(windows), samples)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(2, 50), min_size=1, max_size=20), min_size=1, max_size=10),
    st.integers(1, 60),
    st.integers(1, 300),
)
def test_crops_of_shards_are_counted_however_the_file_comes(shards: list[list[int]], context: int, block: int) -> None:
    entries = [shard_of(windows) for windows in shards]
    data = lengths_bytes([lengths_of(entry.samples) for entry in entries])
    manifest = Manifest("set", FORMAT, {}, {LENGTHS: describe_bytes(data)}, "")
    with pytest.MonkeyPatch.context() as patch:
        blocks = [data[place : place + block] for place in range(0, len(data), block)]
        patch.setattr(storage, "read_blocks", lambda url: iter(blocks))
        found = WindowLengths(manifest, 49, entries)
        expected = [sum((bases - 1) // context for bases in windows) for windows in shards]
        assert found.crops(context).tolist() == expected
        assert found.bases.tolist() == list(map(sum, shards))
        assert found.longest.tolist() == list(map(max, shards))
