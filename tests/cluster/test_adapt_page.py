"""docs/adapt.md from top to bottom: its commands and its Python, on a small model and a small genome."""

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

from hdna.config import dump_recipe, load_recipe
from hdna.config.schema import ModelConfig
from hdna.interop import to_reference
from hdna.model import HyenaDNA
from hdna.run.files import read_metrics

PAGE = (Path(__file__).parents[2] / "docs" / "adapt.md").read_text(encoding="utf-8")
HDNA = Path(sys.executable).with_name("hdna")
SMALL = ["curriculum.0.until_tokens=8192", "evaluate.every_steps=8"]
"""Of every adaptation here."""


@pytest.fixture
def place(tiny_recipe: Path, tmp_path: Path) -> Path:
    """A folder with what the page takes for granted: published weights, a run, a genome."""
    human = [f"run.url={tmp_path / 'runs' / 'human'}"]
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=human)
    (tmp_path / "runs" / "human" / "recipe.yaml").write_text(dump_recipe(load_recipe(str(tiny_recipe), human)))
    bases = np.random.default_rng(7).choice(np.frombuffer(b"ACGT", np.uint8), size=60_000, p=[0.4, 0.1, 0.1, 0.4])
    (tmp_path / "celegans.fa").write_bytes(b">I\n" + bases.tobytes() + b"\n")
    published = tmp_path / "hyenadna-small-32k-seqlen-hf"
    published.mkdir()
    config = ModelConfig(d_model=16, n_layer=1, l_max=258, filter_order=8)
    torch.manual_seed(0)
    save_file(hugging_face(to_reference(HyenaDNA(config).state_dict(), config)), published / "model.safetensors")
    return tmp_path


def given(command: list[str], place: Path) -> str:
    """What it prints, on both streams."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(place / "modules")}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.ray
def test_the_page_runs_from_top_to_bottom(place: Path) -> None:
    commands = [shlex.split(line) for line in re.findall(r"^    hdna (.*)$", PAGE, re.MULTILINE)]
    said = {
        command[0]: given([str(HDNA), *command, *(SMALL if command[0] == "adapt" else [])], place)
        for command in commands
    }
    assert set(said) == {"import", "prep", "adapt", "report", "export"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        assert given([sys.executable, "-c", block], place)
    adapted = read_metrics(str(place / "runs" / "celegans"))[-1].valid_bits_per_base
    assert adapted is not None and adapted < 2
    for page in ("celegans/report/index.html", "celegans/report/comparison.html", "celegans-scratch/report/index.html"):
        assert (place / "runs" / page).exists()
