"""docs/evaluate.md: what it runs from end to end, on a small model and a small genome."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command_line import hdna
from support.rank_tasks import run_training
from support.ranks import run_ranks

from hdna.downstream.evidence import find_evidence
from hdna.genome import GenomeStore
from hdna_prep.encode import encode_genome

pytestmark = pytest.mark.ranks
PAGE = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
WALK = PAGE.partition("## From end to end")[2].partition("\n## ")[0]


@pytest.fixture
def after_make_train(tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page takes for granted: a run, and a genome store with repeats."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "quickstart"
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={run}"])
    rng = np.random.default_rng(0)
    bases = rng.choice(np.frombuffer(b"ACGT", np.uint8), size=60_000)
    repeat = rng.choice(np.frombuffer(b"acgt", np.uint8), size=500)
    for start in range(1_000, 60_000, 2_000):
        bases[start : start + 500] = repeat
    Path("genome.fa").write_bytes(b">one\n" + bases[:30_000].tobytes() + b"\n>two\n" + bases[30_000:].tobytes() + b"\n")
    encode_genome(["genome.fa"], "work/quickstart/store.zarr")
    return tmp_path


def test_the_walk_runs_from_end_to_end(after_make_train: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)
    subprocess.run([sys.executable, "-c", block], env=os.environ, check=True)
    assert Path("regions.bed").read_text().split()[0] in GenomeStore.open("work/quickstart/store.zarr").contigs
    commands = [shlex.split(line) for line in re.findall(r"^    hdna (eval .*)$", WALK, re.MULTILINE)]
    assert [command[1] for command in commands] == ["context", "needle", "task", "variants", "embed", "report"]
    for command in commands:
        hdna(*command)
    assert {found.kind for found in find_evidence("judged")} == {"context", "needle", "task", "variants", "embed"}
    page = Path("judged/index.html").read_text(encoding="utf-8")
    assert "repeats" in page and "Missing" in page
