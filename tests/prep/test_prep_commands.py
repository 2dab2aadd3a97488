"""`hdna prep` as a user meets it: the commands one after another, their closing lines, their help."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdna import progress as progress_module
from hdna.cli.prep import app
from hdna.errors import InputError

COMMANDS = ("synth", "genome", "fasta", "shards", "verify")


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_synthetic_fasta_to_verified_shards(tmp_path: Path) -> None:
    assert "50,000 bases in 2 contigs" in run("synth", "--out", tmp_path / "g.fa.gz", "--bases", 50000, "--contigs", 2)
    made = run("genome", tmp_path / "g.fa.gz", "--out", tmp_path / "g.zarr", "--assembly", "toy")
    assert "toy, 2 contigs, 50,000 bases" in made
    assert "bits per base" in made
    run("fasta", tmp_path / "g.zarr", "--out", tmp_path / "back.fa.gz")
    assert (tmp_path / "back.fa.gz").read_bytes() == (tmp_path / "g.fa.gz").read_bytes()
    (tmp_path / "splits.bed").write_text("chr1\t0\t25000\ttrain\nchr2\t0\t9000\tvalid\n")
    bed = ("--splits", tmp_path / "splits.bed")
    made = run("shards", tmp_path / "g.zarr", "--out", tmp_path / "set", *bed, "--window", 4000)
    assert "train 25,000 bases in 7, valid 9,000 bases in 3, test 0 bases in 0" in made
    assert "sound" in run("verify", tmp_path / "set")
    assert "sound" in run("verify", tmp_path / "g.zarr")


def test_workers_are_asked_for_and_change_nothing(tmp_path: Path) -> None:
    run("synth", "--out", tmp_path / "g.fa", "--bases", 50000)
    for workers in (1, 2):
        run("genome", tmp_path / "g.fa", "--out", tmp_path / f"{workers}.zarr", "--workers", workers)
        shards = ("shards", tmp_path / "1.zarr", "--out", tmp_path / f"{workers}", "--window", 4000)
        run(*shards, "--workers", workers)
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("1", "2"))
    assert one == two
    for words in (["--workers", "0"], ["--backend", "moon"]):
        assert CliRunner().invoke(app, ["genome", "x.fa", "--out", "y", *words]).exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    assert f"  hdna prep {command} " in run(command, "--help").split("Example:\n")[1]


def test_usage_errors_exit_2(tmp_path: Path) -> None:
    both = ["shards", "g.zarr", "--out", "set", "--splits", "x.bed", "--split-by", "hash"]
    for words in (both, ["shards", "g.zarr"], ["shards", "g.zarr", "--out", "s", "--split-by", "moon"], ["genome"]):
        assert CliRunner().invoke(app, words).exit_code == 2


def test_what_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    for words in (["verify", "x"], ["fasta", "x", "--out", "y.fa"], ["shards", "x", "--out", "y"]):
        result = CliRunner().invoke(app, [words[0], *(str(tmp_path / w) if len(w) < 5 else w for w in words[1:])])
        assert isinstance(result.exception, InputError)
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, hdna.cli.prep; print([m for m in ('numpy', 'zarr', 'obstore', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_prep_runs_without_torch(tmp_path: Path) -> None:
    """The door law: an import of torch anywhere on this path would fail."""
    code = """
import sys
for name in ("torch", "deepspeed", "ray", "webdataset"):
    sys.modules[name] = None
from pathlib import Path
from hdna_prep import encode, shards, synthetic, verify
folder = Path(sys.argv[1])
synthetic.write_genome(folder / "g.fa", 20_000)
encode.encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
shards.write_shards([str(folder / "g.zarr")], str(folder / "set"), window=1000)
print(verify.verify(str(folder / "set")))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_progress_prints_plain_lines_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress_module.progress(2000, "reading", "bases") as advance:
        advance(500)
        advance(1500)
    assert "reading: 500 of 2,000 bases (25 %), 0 s\n" in capsys.readouterr().err
