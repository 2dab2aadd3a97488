"""Processes of a run that die in its middle: the one that passes progress on costs nothing, a worker costs no work."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.processes import descendants

from hdna.checkpoint import list_checkpoints, load_weights
from hdna.run.files import read_json, read_metrics

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 240


def train_and_kill(title: str, recipe: Path, url: Path, workers: int, tokens: int) -> subprocess.CompletedProcess[str]:
    """`hdna train`; once it has a checkpoint, the last of its processes with that title is killed."""
    command = [HDNA, "train", str(recipe), f"run.url={url}", f"parallel.workers={workers}"]
    command += [f"curriculum.1.until_tokens={tokens}", "checkpoint.keep_last=2"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not list_checkpoints(str(url)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill([pid for pid, found in descendants(process.pid) if found.startswith(title)][-1], signal.SIGKILL)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert "Traceback" not in out + err
    assert "(raylet)" not in out + err
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.ray
def test_a_run_outlives_the_process_that_passes_its_progress_on(tiny_recipe: Path, tmp_path: Path) -> None:
    url = tmp_path / "run"
    steps = 100
    done = train_and_kill("ray::Mailbox", tiny_recipe, url, 1, steps * 2048)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("progress: some may be missing here") == 1
    assert f"; {url}/metrics.jsonl has all of it; training goes on" in done.stderr
    assert "1 time something beside training failed: progress (1)" in done.stderr
    assert f"step {steps}/{steps} " in done.stderr, "Ray starts the process again"
    assert [record.step for record in read_metrics(str(url))] == list(range(1, steps + 1))
    assert read_json(str(url), "state.json")["status"] == "done"


@pytest.mark.ray
@pytest.mark.chaos
def test_a_run_goes_on_after_a_worker_was_killed(tiny_recipe: Path, tmp_path: Path) -> None:
    """With the weights of a run that nobody disturbed, to the last bit: no step is lost or counted twice."""
    url, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    steps = 60
    done = train_and_kill("ray::RayTrainWorker", tiny_recipe, url, 2, steps * 2048)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "was lost" in line]
    assert re.search(f"{url}: worker [01] was lost: its worker process has died", line)
    assert line.endswith(": going on from the newest checkpoint")
    assert [record.step for record in read_metrics(str(url))] == list(range(1, steps + 1))
    run = [HDNA, "train", str(tiny_recipe), f"run.url={undisturbed}", "parallel.workers=2"]
    subprocess.run([*run, f"curriculum.1.until_tokens={steps * 2048}"], check=True, capture_output=True)
    expected = load_weights(str(undisturbed))
    assert all(torch.equal(value, expected[name]) for name, value in load_weights(str(url)).items())
