"""`make gpu` in its reduced form: each stage runs, finds nothing wrong on a CPU, and leaves JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.rank_tasks import run_training
from support.ranks import run_ranks
from support.ray_cluster import Cluster

from hdna.run.files import read_metrics

STAGES_FOLDER = Path(__file__).parents[2] / "bench" / "gpu"
STAGES = ["golden", "layouts", "graphs", "steps", "convolution", "attention", "precision"]


def reduced(stages: list[str], out: Path, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What each of the stages has left."""
    command = [sys.executable, str(STAGES_FOLDER / "run.py"), "--reduced", "--out", str(out), "--stages", *stages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text()) for path in out.rglob("*.json")}


def assert_well(stage: str, found: dict[str, Any]) -> None:
    assert found["stage"] == stage and found["reduced"] and found["rows"] and not found["problems"]


def test_the_stages_run_reduced_on_a_cpu(tmp_path: Path) -> None:
    found = reduced(STAGES, tmp_path, os.environ)
    assert found.keys() == set(STAGES)
    for stage in STAGES:
        assert_well(stage, found[stage])


@pytest.mark.ray
def test_the_quickstart_runs_reduced_on_a_cpu(cluster: Cluster, tmp_path: Path) -> None:
    """On a cluster that is there."""
    found = reduced(["quickstart"], tmp_path, cluster.joined)
    assert_well("quickstart", found["quickstart"])


@pytest.mark.ranks
def test_pretraining_runs_reduced_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one rank without Ray, through which the quickstart goes."""
    monkeypatch.syspath_prepend(STAGES_FOLDER)
    import pretraining
    import torch

    def train(folder: Path, recipe: str, overrides: list[str], limit_s: float) -> dict[str, Any]:
        url, shards = str(folder / recipe), f"data.shards=[{folder / 'shards'}]"
        run_ranks(1, run_training, recipe=Path(recipe), overrides=[shards, f"run.url={url}", *overrides])
        assert limit_s == pretraining.REDUCED_S
        return {"ended_well": True, "tokens": read_metrics(url)[-1].tokens}

    monkeypatch.setattr(pretraining, "train", train)
    found = pretraining.measure(torch.device("cpu"), reduced=True)
    assert found == {"rows": [{"ended_well": True, "tokens": 16384}], "problems": []}
