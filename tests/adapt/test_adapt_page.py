"""docs/adapt.md from top to bottom: its commands and its Python, on a small model and a small genome.

Training runs on one rank without Ray, through which `hdna train` goes in tests/cluster: starting it takes longer than
all of this.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.layouts import hugging_face
from support.rank_tasks import run_training
from support.ranks import run_ranks
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import RunConfig, load_recipe
from hdna.config.schema import ModelConfig
from hdna.interop import to_reference
from hdna.model import HyenaDNA
from hdna.run.events import Report
from hdna.run.files import read_metrics
from hdna.run.ownership import claim, refuse_taken
from hdna.train.preflight import preflight
from hdna.train.source import with_extension
from hdna_cluster import launch

pytestmark = pytest.mark.ranks
PAGE = (Path(__file__).parents[2] / "docs" / "adapt.md").read_text(encoding="utf-8")
SMALL = ["curriculum.0.until_tokens=8192", "evaluate.every_steps=8"]
"""Of every adaptation here."""


def launch_without_ray(config: RunConfig, report: Report, recipe: str) -> None:
    """What `launch` does before and after Ray."""
    config = with_extension(config)
    preflight(config)
    refuse_taken(config)
    claim(config)
    run_ranks(1, run_training, recipe=Path(config.run.url, "recipe.yaml"), overrides=[])
    report("trained")


@pytest.fixture
def beginning(tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page takes for granted: published weights, a run, a genome."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "launch", launch_without_ray)
    human = load_recipe(str(tiny_recipe), [f"run.url={tmp_path / 'runs' / 'human'}"])
    launch_without_ray(human, print, str(tiny_recipe))
    bases = np.random.default_rng(7).choice(np.frombuffer(b"ACGT", np.uint8), size=60_000, p=[0.4, 0.1, 0.1, 0.4])
    Path("celegans.fa").write_bytes(b">I\n" + bases.tobytes() + b"\n")
    published = Path("hyenadna-small-32k-seqlen-hf")
    published.mkdir()
    config = ModelConfig(d_model=16, n_layer=1, l_max=258, filter_order=8)
    torch.manual_seed(0)
    save_file(hugging_face(to_reference(HyenaDNA(config).state_dict(), config)), published / "model.safetensors")
    return tmp_path


def test_the_page_runs_from_top_to_bottom(beginning: Path) -> None:
    commands = [shlex.split(line) for line in re.findall(r"^    hdna (.*)$", PAGE, re.MULTILINE)]
    assert {command[0] for command in commands} == {"import", "prep", "adapt", "report", "export"}
    said = {}
    for command in commands:
        done = CliRunner().invoke(app, [*command, *(SMALL if command[0] == "adapt" else [])])
        assert done.exit_code == 0, f"{shlex.join(command)}: {done.output} {done.exception}"
        said[command[0]] = done.output
    adapted = read_metrics("runs/celegans")[-1].valid_bits_per_base
    assert adapted is not None and f"{adapted:.4f} after 8,192 tokens; from scratch" in said["adapt"]
    for page in ("celegans/report/index.html", "celegans/report/comparison.html", "celegans-scratch/report/index.html"):
        assert Path("runs", page).exists()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(beginning / "modules")}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        ran = subprocess.run([sys.executable, "-c", block], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "torch.Size([1, 12, 16])"
