"""Bad input at the command line: one line that says what, where and what to do; no traceback, no hang, nothing lost."""

import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from support.forked_command import run_command
from support.fuzz_doors import save_checkpoint

from hdna.checkpoint import RunState
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome

MAX_SECONDS = 20
"""On a busy machine; imports alone take two of them."""


def hdna(*words: object, cwd: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, after the Python statements `before`."""
    code = f"{before}\nimport sys\nfrom hdna.cli import main\nsys.argv = ['hdna', *sys.argv[1:]]\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sound and odd things in it."""
    folder = tmp_path_factory.mktemp("place")
    write_genome(folder / "g.fa", 20_000, seed=1)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to(folder / "missing")
    (folder / "loop").symlink_to("loop")
    (folder / "latin.yaml").write_bytes(b"run: {url: caf\xe9}\n")
    (folder / "long.bed").write_text(f"chr1\t0\t{'9' * 5000}\ttrain\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "manifest.json").write_text('{"a":' * 100_000)
    return folder


REFUSED = {
    "an empty path": (["prep", "verify", ""], "the path is empty"),
    "a password in a URL": (["prep", "verify", "s3://me:hunter2@bucket/set"], r"s3://***@bucket/set"),
    "a password in a recipe": (["plan", "quickstart", "data.shards=[s3://me:hunter2@b/set]"], "***@b/set"),
    "a password in an override": (["plan", "quickstart", "run.url=s3://me:hunter2@b/run"], "***@b/run"),
    "a recipe that is no text": (["plan", "latin.yaml"], "not a text file"),
    "a prime number of workers": (["plan", "quickstart", "parallel.workers=1000000007"], "between 1 and 1,000,000"),
    "a pipe for a FASTA": (["prep", "genome", "pipe", "--out", "x.zarr"], "pipe or a device"),
    "a device for a FASTA": (["prep", "genome", "/dev/zero", "--out", "x.zarr"], "pipe or a device"),
    "a pipe for a BED": (["prep", "shards", "g.zarr", "--out", "x", "--splits", "pipe"], "pipe or a device"),
    "a coordinate of 5,000 digits": (
        ["prep", "shards", "g.zarr", "--out", "x", "--splits", "long.bed"],
        "integers",
    ),
    "an output below a file": (["prep", "genome", "g.fa", "--out", "g.fa/x.zarr"], "part of the path is a file"),
    "an output in /proc": (["prep", "genome", "g.fa", "--out", "/proc/x.zarr"], "/proc/x.zarr"),
    "a FASTA in place of a dead link": (["prep", "fasta", "g.zarr", "--out", "nowhere"], "already exists"),
    "a FASTA below a file": (["prep", "fasta", "g.zarr", "--out", "g.fa/x.fa"], "part of the path is a file"),
    "a window too large": (["prep", "shards", "g.zarr", "--out", "x", "--window", str(10**30)], "want 1 to"),
    "a recipe copied below a file": (["recipes", "quickstart", "--copy", "g.fa/mine.yaml"], "does not exist"),
    "a recipe copied onto a dead link": (["recipes", "quickstart", "--copy", "nowhere"], "already exists"),
    "JSON 100,000 deep": (["prep", "verify", "deep"], "nested too deeply"),
    "links in a loop": (["prep", "verify", "loop"], "loop"),
    "a name of 5,000 letters": (["prep", "verify", "n" * 5000], "shorter name"),
    "no run": (["report", "missing"], "not a run"),
    "a bucket without a name": (["checkpoints", "list", "s3://"], "s3://: names no place"),
    "a file of another machine": (["prep", "verify", "file://host/set"], "not a path on this machine"),
    "a genome of more than any contig": (
        ["prep", "synth", "--out", "x.fa", "--bases", str(10**20)],
        "want 1,000 to 1,073,741,824 bases",
    ),
    "nothing to prune": (["checkpoints", "prune", "missing"], "contains no committed checkpoint"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_nothing_is_written(case: str, place: Path) -> None:
    words, message = REFUSED[case]
    before = sorted(path.name for path in place.iterdir())
    ended = run_command(words, place, MAX_SECONDS)
    text = ended.out + ended.err
    assert ended.status == 1, text
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert message in lines[0]
    assert "hunter2" not in text
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["prep", "nope"], "No such command 'nope'. Did you mean 'genome'?: see 'hdna prep --help'"),
        (["prep", "shards"], "Missing argument 'STORE.zarr': see 'hdna prep shards --help'"),
        (["--nope"], "No such option: --nope: see 'hdna --help'"),
    ],
)
def test_what_is_mistyped_is_one_line_with_status_2(words: list[str], line: str, place: Path) -> None:
    ended = run_command(words, place, MAX_SECONDS)
    assert (ended.status, ended.out, ended.err) == (2, "", f"hdna: error: {line}\n")


def test_a_file_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    ended = run_command(["prep", "synth", "--out", "\udcff.fa", "--bases", "2000"], tmp_path, MAX_SECONDS)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(r"\udcff.fa: 2,000 bases")


def test_a_group_without_a_command_answers_with_its_help(place: Path) -> None:
    ended = run_command(["checkpoints"], place, MAX_SECONDS)
    assert ended.status == 2 and "Usage: hdna checkpoints" in ended.err and "prune" in ended.err


def test_the_version_is_that_of_the_package(place: Path) -> None:
    ended = run_command(["--version"], place, MAX_SECONDS)
    assert (ended.status, ended.out) == (0, f"hdna {metadata.version('hdna')}\n")


def test_a_contig_that_begins_like_a_browser_line_is_no_browser_line(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">tracked_scaffold_1\n" + "ACGT" * 500 + "\n>track\n" + "ACCT" * 500 + "\n")
    (tmp_path / "s.bed").write_text(
        "track name=x\nbrowser position chr1\n# note\ntracked_scaffold_1\t0\t2000\ttrain\ntrack\t0\t2000\tvalid\n"
    )
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    done = hdna("prep", "shards", "g.zarr", "--out", "set", "--splits", "s.bed", "--window", 500, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    totals = json.loads((tmp_path / "set" / "manifest.json").read_text())["totals"]
    assert (totals["train"]["bases"], totals["valid"]["bases"]) == (2000, 2000)


def test_a_damaged_checkpoint_does_not_hide_the_others(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path / "run", RunState(step=step, tokens=step))
    (tmp_path / "run" / "checkpoints" / "step-000002" / "MANIFEST.json").write_text("{")
    for command in ("list", "verify"):
        done = hdna("checkpoints", command, "run", cwd=tmp_path)
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        assert ["not valid JSON" in line for line in lines] == [False, True, False]


def test_the_last_net_is_one_line_with_a_saved_trace(tmp_path: Path) -> None:
    """An error nobody foresaw, here a division by zero put into the library."""
    break_it = "import hdna.config\nhdna.config.list_recipes = lambda: 1 / 0"
    done = hdna("recipes", cwd=tmp_path, before=break_it, HDNA_DEBUG="", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    (trace,) = tmp_path.glob("hdna-error-*.txt")
    assert line.startswith("hdna: error: unexpected ZeroDivisionError") and str(trace) in line
    assert "ZeroDivisionError" in trace.read_text() and trace.stat().st_mode & 0o077 == 0
    shown = hdna("--debug", "recipes", cwd=tmp_path, before=break_it, HDNA_DEBUG="")
    assert "Traceback" in shown.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    code = "from hdna.cli import main; import sys; sys.argv = ['hdna', 'recipes', 'large_1m']; main()"
    pipe = f'{sys.executable} -c "{code}" | head -1'
    began = time.monotonic()
    done = subprocess.run(["bash", "-c", pipe], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
    assert time.monotonic() - began < MAX_SECONDS
