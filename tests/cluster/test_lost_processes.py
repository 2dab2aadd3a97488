"""The process that passes a run's progress on dies in its middle: that costs nothing, to the run's end.

In `make test`, such a run is interrupted (test_launch.py). Workers: tests/chaos.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import descendants

from hdna.checkpoint import list_checkpoints
from hdna.run.files import read_json, read_metrics

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 600


@pytest.mark.ray
@pytest.mark.chaos
def test_a_run_ends_well_without_the_process_that_passed_its_progress_on(tiny_recipe: Path, tmp_path: Path) -> None:
    """It is killed once the run has a checkpoint."""
    url = tmp_path / "run"
    steps = 100
    command = [HDNA, "train", str(tiny_recipe), f"run.url={url}", f"curriculum.1.until_tokens={steps * 2048}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    while not list_checkpoints(str(url)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill([pid for pid, title in descendants(process.pid) if title.startswith("ray::Mailbox")][-1], signal.SIGKILL)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "Traceback" not in out + err and "(raylet)" not in out + err
    assert err.count("progress: some may be missing here") == 1
    assert f"; {url}/metrics.jsonl has all of it; training goes on" in err
    assert "1 time something beside training failed: progress (1)" in err
    assert f"step {steps}/{steps} " in err, "Ray starts the process again"
    assert [record.step for record in read_metrics(str(url))] == list(range(1, steps + 1))
    assert read_json(str(url), "state.json")["status"] == "done"
