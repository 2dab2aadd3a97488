"""`hdna prep` as a user meets it: the commands one after another, their closing lines, their help."""

from pathlib import Path

import pytest
from support.command_line import hdna
from typer.testing import CliRunner

from hdna import progress as progress_module
from hdna.cli.prep import app
from hdna.errors import InputError

COMMANDS = ("synth", "genome", "fasta", "shards", "verify", "member")


def prep(*words: object) -> str:
    return hdna("prep", *words)


def test_from_synthetic_fasta_to_verified_shards(tmp_path: Path) -> None:
    assert "50,000 bases in 2 contigs" in prep("synth", "--out", tmp_path / "g.fa.gz", "--bases", 50000, "--contigs", 2)
    made = prep("genome", tmp_path / "g.fa.gz", "--out", tmp_path / "g.zarr", "--assembly", "toy")
    assert "toy, 2 contigs, 50,000 bases" in made
    assert "stored bits a base" in made and "per base" not in made, "bits per base are a loss"
    prep("fasta", tmp_path / "g.zarr", "--out", tmp_path / "back.fa.gz")
    assert (tmp_path / "back.fa.gz").read_bytes() == (tmp_path / "g.fa.gz").read_bytes()
    (tmp_path / "splits.bed").write_text("chr1\t0\t25000\ttrain\nchr2\t0\t9000\tvalid\n")
    bed = ("--splits", tmp_path / "splits.bed")
    made = prep("shards", tmp_path / "g.zarr", "--out", tmp_path / "set", *bed, "--window", 4000)
    assert "stored bits a base" in made and "per base" not in made
    assert "train 25,000 bases in 7, valid 9,000 bases in 3, test 0 bases in 0" in made
    assert "sound" in prep("verify", tmp_path / "set")
    assert "sound" in prep("verify", tmp_path / "g.zarr")


def test_workers_are_asked_for_and_change_nothing(tmp_path: Path) -> None:
    prep("synth", "--out", tmp_path / "g.fa", "--bases", 50000)
    for workers in (1, 2):
        prep("genome", tmp_path / "g.fa", "--out", tmp_path / f"{workers}.zarr", "--workers", workers)
        shards = ("shards", tmp_path / "1.zarr", "--out", tmp_path / f"{workers}", "--window", 4000)
        prep(*shards, "--workers", workers)
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("1", "2"))
    assert one == two
    for words in (["--workers", "0"], ["--backend", "moon"]):
        assert CliRunner().invoke(app, ["genome", "x.fa", "--out", "y", *words]).exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    assert f"  hdna prep {command} " in prep(command, "--help").split("Example:\n")[1]


def test_usage_errors_exit_2(tmp_path: Path) -> None:
    both = ["shards", "g.zarr", "--out", "set", "--splits", "x.bed", "--split-by", "hash"]
    for words in (both, ["shards", "g.zarr"], ["shards", "g.zarr", "--out", "s", "--split-by", "moon"], ["genome"]):
        assert CliRunner().invoke(app, words).exit_code == 2


def test_a_missing_path_is_an_input_error(tmp_path: Path) -> None:
    for words in (["verify", "x"], ["fasta", "x", "--out", "y.fa"], ["shards", "x", "--out", "y"]):
        result = CliRunner().invoke(app, [words[0], *(str(tmp_path / w) if len(w) < 5 else w for w in words[1:])])
        assert isinstance(result.exception, InputError)
    assert list(tmp_path.iterdir()) == []


def test_progress_prints_plain_lines_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress_module.progress(2000, "reading", "bases") as advance:
        advance(500)
        advance(1500)
    assert "reading: 500 of 2,000 bases (25 %), 0 s, 0 s left\n" in capsys.readouterr().err
