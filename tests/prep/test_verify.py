"""`hdna prep verify` finds every fault, even those that a correct checksum covers."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.files import flip_bit
from typer.testing import CliRunner

from hdna.cli.prep import app
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.verify import verify

Body = dict[str, Any]
Damage = Callable[[Path], object]


def test_sound_sets_verify(made: Path) -> None:
    assert verify(str(made / "set")) == []
    assert verify(str(made / "g.zarr")) == []
    result = CliRunner().invoke(app, ["verify", str(made / "set")])
    assert result.exit_code == 0
    assert "sound" in result.output


def damaged(made: Path, folder: Path) -> Path:
    """A copy of the set that the test may damage."""
    copy = folder / "set"
    copy.mkdir()
    for path in (made / "set").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def edit(folder: Path, change: Callable[[Body], object]) -> None:
    body = json.loads((folder / "manifest.json").read_text())
    change(body)
    (folder / "manifest.json").write_text(json.dumps(body))


def reseal(folder: Path, name: str) -> None:
    """Give a changed tar the checksum it now has, in the manifest: what an honest but wrong writer would do."""
    data = (folder / name).read_bytes()

    def change(body: Body) -> None:
        entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        body["files"][name] = entry
        next(shard for shard in body["shards"] if shard["url"] == name).update(entry)

    edit(folder, change)


TRAIN = "train-000000.tar"


def flip(folder: Path) -> None:
    flip_bit(folder / TRAIN)


def truncate(folder: Path) -> None:
    data = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes(data[: len(data) // 2])


def remove(folder: Path) -> None:
    (folder / TRAIN).unlink()


def truncate_and_reseal(folder: Path) -> None:
    truncate(folder)
    reseal(folder, TRAIN)


def change_a_base_and_reseal(folder: Path) -> None:
    sample = json.loads((folder / "manifest.json").read_text())["shards"][0]["samples"][0]
    data = bytearray((folder / TRAIN).read_bytes())
    data[sample["offset"]] = 7 if data[sample["offset"]] != 7 else 8
    (folder / TRAIN).write_bytes(bytes(data))
    reseal(folder, TRAIN)


def put_a_special_token_and_reseal(folder: Path) -> None:
    sample = json.loads((folder / "manifest.json").read_text())["shards"][0]["samples"][0]
    data = bytearray((folder / TRAIN).read_bytes())
    data[sample["offset"]] = 4
    (folder / TRAIN).write_bytes(bytes(data))
    reseal(folder, TRAIN)


def shift_offset(folder: Path) -> None:
    edit(folder, lambda body: body["shards"][0]["samples"][0].update(offset=512))


def wrong_totals(folder: Path) -> None:
    edit(folder, lambda body: body["totals"]["train"].update(bases=1))


def wrong_shard_bases(folder: Path) -> None:
    edit(folder, lambda body: body["shards"][0].update(bases=1))


def swap_split(folder: Path) -> None:
    edit(folder, lambda body: body["shards"][0].update(split="valid"))


def move_window(folder: Path) -> None:
    """Two splits on the same bases: a valid window claims the place of a train window of its length."""

    def change(body: Body) -> None:
        train = body["shards"][0]["samples"]
        valid = next(shard for shard in body["shards"] if shard["split"] == "valid")["samples"][0]
        length = valid["end"] - valid["start"]
        valid.update(contig=train[0]["contig"], start=train[0]["start"], end=train[0]["start"] + length)

    edit(folder, change)


def escape(name: str) -> Damage:
    def change(body: Body) -> None:
        entry = body["files"].pop(TRAIN)
        body["files"][name] = entry
        body["shards"][0]["url"] = name

    return lambda folder: edit(folder, change)


FAULTS = [
    (flip, "does not have the sha256"),
    (truncate, "bytes, its manifest says"),
    (remove, "is missing"),
    (truncate_and_reseal, "not a complete tar|member|violates the format"),
    (change_a_base_and_reseal, "totals of train"),
    (put_a_special_token_and_reseal, "not base tokens"),
    (shift_offset, "the manifest says 512"),
    (wrong_totals, "totals of train"),
    (wrong_shard_bases, "says 1 bases"),
    (swap_split, "json member"),
    (move_window, "overlap on"),
    (escape("../train-000000.tar"), "refused|file table"),
    (escape("/etc/passwd"), "refused|file table"),
    (escape("file:///etc/passwd"), "refused|file table"),
    (escape("pipe:cat x.tar"), "refused|file table"),
    (escape("sub/train-000000.tar"), "refused"),
    (escape("-rf.tar"), "refused"),
    (lambda folder: edit(folder, lambda body: body.update(version=2)), "format version 2"),
    (lambda folder: edit(folder, lambda body: body.update(format="other")), "not the manifest"),
    (lambda folder: edit(folder, lambda body: body.update(window="x")), "window violates"),
    (lambda folder: edit(folder, lambda body: body["shards"][0]["samples"][0].update(end=2**62)), "end 4611686018"),
    (lambda folder: edit(folder, lambda body: body["shards"][0]["samples"][0].update(key="a/b")), "key 'a/b'"),
    (lambda folder: (folder / "manifest.json").write_text("{"), "not valid JSON"),
]


@pytest.mark.parametrize(("damage", "what"), FAULTS)
def test_verify_finds_every_injected_fault(damage: Damage, what: str, made: Path, tmp_path: Path) -> None:
    folder = damaged(made, tmp_path)
    damage(folder)
    problems = "\n".join(verify(str(folder)))
    assert any(part in problems for part in what.split("|")), problems
    assert CliRunner().invoke(app, ["verify", str(folder)]).exit_code == 1


def random_bases(count: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=count))


@pytest.fixture
def repeated(tmp_path: Path) -> Path:
    """A set whose valid contigs are a train stretch, its reverse complement, and nothing of the kind."""
    stretch = random_bases(1001, 1)
    other = stretch.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    contigs = {
        "chr1": random_bases(1000, 2) + stretch + random_bases(500, 3),
        "same": stretch.lower(),
        "other": other,
        "new": random_bases(1001, 4),
        "within": stretch,
    }
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    splits = {"same": "valid", "other": "test", "new": "valid"}
    lines = [f"{name}\t0\t{len(text)}\t{splits.get(name, 'train')}\n" for name, text in contigs.items()]
    (tmp_path / "splits.bed").write_text("".join(lines))
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    write_shards([str(tmp_path / "g.zarr")], str(tmp_path / "set"), str(tmp_path / "splits.bed"), window=1000)
    return tmp_path / "set"


def test_windows_repeated_in_another_split_are_a_warning(repeated: Path) -> None:
    warnings: list[str] = []
    assert verify(str(repeated), warnings.append) == []
    assert f"{repeated}: 4 windows have the same bases as one in another split (either strand):" in warnings[0]
    assert len(warnings) == 2
    one, other = warnings[1].split(" = ")
    train = {"g chr1:1000-2001 (train)", "g within:0-1001 (train)"}
    held_out = {"g same:0-1001 (valid)", "g other:0-1001 (test)"}
    assert {one, other} & (train | held_out) == {one, other}
    assert one.split("(")[1] != other.split("(")[1]
    result = CliRunner().invoke(app, ["verify", str(repeated)])
    assert result.exit_code == 0
    assert "warning: " in result.output
    assert "sound" in result.output


def test_repeats_within_one_split_and_unique_windows_are_no_warning(made: Path, tmp_path: Path) -> None:
    warnings: list[str] = []
    assert verify(str(made / "set"), warnings.append) == []
    stretch = random_bases(1001, 5)
    (tmp_path / "g.fa").write_text(f">a\n{stretch}\n>b\n{stretch}\n>c\n{random_bases(1001, 6)}\n")
    (tmp_path / "s.bed").write_text("a\t0\t1001\ttrain\nb\t0\t1001\ttrain\nc\t0\t1001\tvalid\n")
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    write_shards([str(tmp_path / "g.zarr")], str(tmp_path / "set"), str(tmp_path / "s.bed"), window=1000)
    assert verify(str(tmp_path / "set"), warnings.append) == []
    assert warnings == []


def test_only_the_first_few_twins_are_named(tmp_path: Path) -> None:
    text = random_bases(20_001, 7)
    (tmp_path / "g.fa").write_text(f">a\n{text}\n>b\n{text}\n")
    (tmp_path / "s.bed").write_text("a\t0\t20001\ttrain\nb\t0\t20001\ttest\n")
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    write_shards([str(tmp_path / "g.zarr")], str(tmp_path / "set"), str(tmp_path / "s.bed"), window=1000)
    warnings: list[str] = []
    verify(str(tmp_path / "set"), warnings.append)
    assert "40 windows" in warnings[0]
    assert len(warnings) == 7
    assert warnings[-1] == "and 15 more groups"
    for line in warnings[1:-1]:
        one, other = line.split(" = ")
        assert one.split(":")[1].split()[0] == other.split(":")[1].split()[0]


def test_a_store_that_changed_after_sharding_is_found(made: Path, tmp_path: Path) -> None:
    """The set's own store is accepted; one made again of other bases is not, though its name is the same."""
    url = str(made / "set")
    assert verify(url, stores=[str(made / "g.zarr")]) == []
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGTTGCA" * 40 + "\n")
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"), "g")
    (problem,) = verify(url, stores=[str(tmp_path / "g.zarr")])
    assert problem.startswith(f"{url}: not made from {tmp_path}/g.zarr as it is now")
    result = CliRunner().invoke(app, ["verify", url, "--store", str(tmp_path / "g.zarr")])
    assert result.exit_code == 1 and "as it is now" in result.output
