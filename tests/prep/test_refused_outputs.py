"""What prep refuses before it writes anything, and names that are taken by something that is not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdna.cli.prep import app
from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval
from hdna.genome.shard_set import MAX_WINDOW
from hdna_prep.encode import encode_genome, write_fasta
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify

Write = Callable[[Path, Path], object]


@pytest.mark.parametrize("window", [0, -1, MAX_WINDOW, 10**30])
def test_a_window_outside_the_format_is_refused_before_anything_is_written(
    window: int, made: Path, tmp_path: Path
) -> None:
    """Not a set that its own reader refuses afterwards."""
    with pytest.raises(InputError, match=rf"--window {window}: want 1 to 4,294,967,295 bases"):
        write_shards([str(made / "g.zarr")], str(tmp_path / "deep" / "set"), window=window)
    assert list(tmp_path.iterdir()) == []
    words = ["shards", str(made / "g.zarr"), "--out", str(tmp_path / "set"), "--window", str(window)]
    assert CliRunner().invoke(app, words).exit_code != 0
    assert list(tmp_path.iterdir()) == []


def fasta(made: Path, out: Path) -> None:
    write_fasta(str(made / "g.zarr"), str(out))


def synth(made: Path, out: Path) -> None:
    write_genome(out, 1000)


@pytest.mark.parametrize("name", ["out.fa", "out.fa.gz"])
@pytest.mark.parametrize("write", [fasta, synth])
def test_a_link_that_leads_nowhere_is_not_written_through(
    write: Write, name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is noticed before a base is read."""
    monkeypatch.delattr(GenomeStore, "read_ascii")
    link = tmp_path / name
    link.symlink_to(tmp_path / "elsewhere" / "precious.fa")
    with pytest.raises(InputError, match=rf"{link}: already exists; it is never overwritten"):
        write(made, link)
    command = ["fasta", str(made / "g.zarr")] if write is fasta else ["synth", "--bases", "1000"]
    result = CliRunner().invoke(app, [*command, "--out", str(link)])
    assert isinstance(result.exception, InputError) and "already exists" in str(result.exception)
    assert link.readlink() == tmp_path / "elsewhere" / "precious.fa"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_that_appears_while_a_fasta_is_written_stays(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was there when the writer looked."""
    link = tmp_path / "out.fa"
    read = GenomeStore.read_ascii

    def read_and_link(store: GenomeStore, interval: Interval) -> bytes:
        if not link.is_symlink():
            link.symlink_to(tmp_path / "precious.fa")
        return read(store, interval)

    monkeypatch.setattr(GenomeStore, "read_ascii", read_and_link)
    with pytest.raises(InputError, match=rf"{link}: already exists; it is never overwritten"):
        fasta(made, link)
    assert [path.name for path in tmp_path.iterdir()] == ["out.fa"]
    assert link.readlink() == tmp_path / "precious.fa"


@pytest.mark.parametrize("kind", ["store", "shards"])
@pytest.mark.parametrize("target", ["nowhere", "empty", "file"])
def test_a_set_is_not_made_behind_a_link(target: str, kind: str, made: Path, tmp_path: Path) -> None:
    """It could not take the link's name, which would come to light only when all the work is done."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    link = tmp_path / "out"
    link.symlink_to(tmp_path / target)
    with pytest.raises(InputError, match=f"{link}: something else already exists there; it is never overwritten"):
        if kind == "store":
            encode_genome(["no-such.fa"], str(link))
        else:
            write_shards(["no-such.zarr"], str(link))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "out"]
    assert link.readlink() == tmp_path / target


def test_an_empty_folder_becomes_the_set(made: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write_shards([str(made / "g.zarr")], str(tmp_path / "set"), window=5000)
    assert verify(str(tmp_path / "set")) == []
