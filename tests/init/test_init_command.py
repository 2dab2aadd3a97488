"""`hdna init` as it is typed: what it reads, writes and prints, and the commands it prints, typed in turn."""

import gzip
import shlex
from pathlib import Path

import pysam
import pytest
import torch
from support.command_line import hdna
from typer.testing import CliRunner

from hdna.benchmark import pace
from hdna.cli import app
from hdna.config import ModelConfig, load_recipe
from hdna.init import machine
from hdna.init.genomes import read_genomes
from hdna.init.machine import known_machine, this_machine
from hdna.model.flops import train_flops_per_token
from hdna.train.preflight import preflight
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome

SLOW = {128: 7e10, 256: 1e11}
"""Model FLOP/s of two cores."""


@pytest.fixture(autouse=True)
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "measured_flops", lambda model, *rest: SLOW[model.d_model])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a genome whose name has spaces."""
    monkeypatch.chdir(tmp_path)
    write_genome(tmp_path / "my genome's v1.fa", 60_000, contigs=2, seed=3)
    return tmp_path


def test_the_printed_commands_work_as_they_are_typed(here: Path) -> None:
    printed = hdna("init", "my genome's v1.fa", "--hours", "0.01")
    typed = [shlex.split(line)[1:] for line in printed.splitlines() if line.startswith("hdna ")]
    assert [words[:2] for words in typed] == [
        ["prep", "genome"], ["prep", "shards"], ["prep", "verify"], ["train", "recipe.yaml"],
        ["report", "runs/my_genome_s_v1"],
    ]  # fmt: skip
    for words in typed[:3]:
        hdna(*words)
    config = load_recipe(typed[3][1])
    assert config.run.url == "runs/my_genome_s_v1"
    preflight(config)
    assert hdna("plan", "recipe.yaml", "--device", "cpu").count("TOO LARGE") == 0
    recipe = (here / "recipe.yaml").read_text()
    assert all(f"#   {line}\n" in recipe for line in printed.splitlines() if line.startswith("hdna "))
    assert "fewer than 20 tokens" in printed
    assert max(len(line) for line in printed.splitlines() if not line.startswith("hdna ")) <= 80


def test_fasta_gzip_and_store_have_the_sizes_that_pysam_finds(here: Path) -> None:
    letters = b">one x\n" + b"ACGTNNacgtRY\nAC\n" + b">two\r\n" + b"gggNN\r\n" * 3
    (here / "a.fa").write_bytes(letters)
    (here / "b.fasta.gz").write_bytes(gzip.compress(letters))
    encode_genome(["a.fa"], "c.zarr", "c")
    pysam.faidx("a.fa")
    with pysam.FastaFile("a.fa") as fasta:
        lengths = tuple(fasta.lengths)
        known = sum(fasta.fetch(name).upper().count(base) for name in fasta.references for base in "ACGT")
    for found in read_genomes(["a.fa", "b.fasta.gz", "c.zarr"]):
        assert (found.contigs, found.known) == (lengths, known), found.url


def test_a_store_needs_no_prep_and_several_genomes_make_one_set(here: Path) -> None:
    encode_genome(["my genome's v1.fa"], "b.zarr", "b")
    commands = hdna("init", "my genome's v1.fa", "b.zarr", "--device", "h200", "--out", "two.yaml").splitlines()
    made = [line for line in commands if line.startswith("hdna prep")]
    folder = "work/my_genome_s_v1-and-1-more"
    store = shlex.quote(f"{folder}/my genome's v1.zarr")
    assert made[0] == f"""hdna prep genome {shlex.quote("my genome's v1.fa")} --out {store}"""
    assert made[1].startswith(f"hdna prep shards {store} b.zarr --out {folder}/shards --window ")
    assert load_recipe("two.yaml").parallel.precision == "bf16"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["there.fa"], "no such file"),
        (["g.fa", "g.fa"], "two genomes are called g"),
        (["g.fa", "--out", "g.fa"], "already exists"),
        (["g.fa", "--out", "no/r.yaml"], "does not exist"),
        (["g.fa", "--device", "h100", "--hours", "1"], "nobody has measured"),
        (["g.fa", "--hours", "0"], "--hours"),
        (["bad.fa"], "bad.fa:2:3"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(here: Path, words: list[str], said: str) -> None:
    write_genome(here / "g.fa", 20_000)
    (here / "bad.fa").write_text(">x\nAC!\n")
    before = sorted(here.iterdir())
    result = CliRunner().invoke(app, ["init", *words])
    assert result.exit_code == 1 and said in str(result.exception)
    assert sorted(here.iterdir()) == before


def test_the_speed_is_flops_over_the_median_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """6 FLOPs a weight and token at least; of three steps of 1, 9 and 2 seconds the median counts."""
    taken = iter([1.0, 9.0, 2.0])

    def seconds(step: object, device: object) -> float:
        assert callable(step)
        step()
        return next(taken)

    monkeypatch.setattr(pace, "seconds", seconds)
    model = ModelConfig(d_model=8, n_layer=1, l_max=64, filter_order=4)
    rate = pace.measured_flops(model, 64, 2, False, torch.device("cpu"))
    assert rate == 2 * 64 * train_flops_per_token(model, 64, 2) / 2.0
    assert rate > 6 * (3 * 8 * 8 + 8 * 8 + 2 * 8 * 32) * 64


def test_machines() -> None:
    """Workers share this machine's processors and memory; devices elsewhere have a kept speed or none."""
    one, two = this_machine(1), this_machine(2)
    if not one.device.is_gpu:
        assert two.flops[128] * 2 == one.flops[128] == SLOW[128]
        assert two.device.memory_bytes * 2 <= one.device.memory_bytes
    assert known_machine("h200", 8).flops.keys() == {128, 256} and not known_machine("h100").flops
