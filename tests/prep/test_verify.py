"""`hdna prep verify` counts what is there, warns of repeats, and knows its store; other faults: tests/genome."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.files import flip_bit
from support.manifests import Body, edit_manifest
from support.shard_sets import NPY_HEADER_BYTES, Member, member, rewrite_shard
from typer.testing import CliRunner

from hdna.cli.prep import app
from hdna_prep import shards
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.verify import verify

Damage = Callable[[Path], object]


def test_sound_sets_verify(made: Path) -> None:
    assert verify(str(made / "set")) == []
    assert verify(str(made / "g.zarr")) == []
    result = CliRunner().invoke(app, ["verify", str(made / "set")])
    assert result.exit_code == 0
    assert "sound" in result.output


def first_base_changed(folder: Path) -> None:
    """A base of the tar, with every checksum made to fit."""

    def change(members: list[Member]) -> None:
        info, data = members[1]
        first = 7 if data[NPY_HEADER_BYTES] != 7 else 8
        members[1] = member(info.name, data[:NPY_HEADER_BYTES] + bytes([first]) + data[NPY_HEADER_BYTES + 1 :])

    rewrite_shard(folder, change)


def exchanged(*letters: str) -> Damage:
    """Two counts of the train split, in each other's place."""

    def change(body: Body) -> None:
        counts = body["totals"]["train"]["counts"]
        one, other = letters
        counts[one], counts[other] = counts[other], counts[one]

    return lambda folder: edit_manifest(folder / "manifest.json", change)


def fewer_masked(folder: Path) -> None:
    def change(body: Body) -> None:
        body["totals"]["train"]["counts"]["soft_masked"] -= 1

    edit_manifest(folder / "manifest.json", change)


@pytest.mark.parametrize("damage", [first_base_changed, exchanged("A", "C"), exchanged("N", "other"), fewer_masked])
def test_letters_are_counted_even_where_every_checksum_fits(damage: Damage, made: Path, tmp_path: Path) -> None:
    """Only counting tells: what training and `prep verify` find alike is in tests/genome."""
    folder = Path(shutil.copytree(made / "set", tmp_path / "set"))
    damage(folder)
    (problem,) = verify(str(folder))
    assert re.match(rf"{folder}: counts of train are .*, but the manifest says ", problem)
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 1 and result.stdout.strip() == problem


def test_every_damaged_shard_is_named_in_a_line_of_its_own(made: Path, tmp_path: Path) -> None:
    """And no counts of what could not be read."""
    folder = Path(shutil.copytree(made / "set", tmp_path / "set"))
    flip_bit(folder / "train-000000.tar")
    (folder / "valid-000000.tar").unlink()
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{folder}/train-000000.tar does not have the bytes and sha256 its manifest says",
        f"{folder}/valid-000000.tar is missing",
    ]


def random_bases(count: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=count))


@pytest.fixture(params=[0, shards._MAX_WINDOWS_IN_MANIFEST], ids=["indexed", "ordinary"])
def repeated(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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
    monkeypatch.setattr(shards, "_MAX_WINDOWS_IN_MANIFEST", request.param)
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
    assert result.stdout.startswith(f"{repeated}: sound") and len(result.stdout.splitlines()) == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["warning", "warning"]


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
    assert problem.startswith(f"{url}: not made of {tmp_path}/g.zarr as it is now")
    result = CliRunner().invoke(app, ["verify", url, "--store", str(tmp_path / "g.zarr")])
    assert result.exit_code == 1 and "as it is now" in result.output
