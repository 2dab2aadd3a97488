"""`make gpu` in its reduced form: each stage runs, finds nothing wrong on a CPU, and leaves JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


STAGES = ["golden", "layouts", "graphs", "steps", "convolution", "attention", "precision"]
THROUGH_RAY = [pytest.param(stage, marks=pytest.mark.ray) for stage in ("quickstart", "pretraining")]


@pytest.mark.parametrize("stage", [*STAGES, *THROUGH_RAY])
def test_a_stage_runs_reduced_on_a_cpu(stage: str, tmp_path: Path) -> None:
    command = [sys.executable, str(REPO / "bench" / "gpu" / "run.py"), "--reduced", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--stages", stage], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (written,) = tmp_path.rglob("*.json")
    found = json.loads(written.read_text())
    assert found["stage"] == stage and found["reduced"] and found["rows"] and not found["problems"]
