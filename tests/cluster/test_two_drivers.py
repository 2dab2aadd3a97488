"""Two drivers on one run, through real Ray: the second is refused. How one takes over is in tests/chaos."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hdna.checkpoint import list_checkpoints
from hdna.run.files import read_metrics
from hdna.run.lease import LEASE_S

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 600
STEPS = 300
"""Enough for the second driver to look and be refused meanwhile."""


@pytest.mark.ray
@pytest.mark.chaos
def test_a_second_driver_is_refused_while_the_first_one_lives(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [HDNA, "train", str(tiny_recipe), f"run.url={run}", f"curriculum.1.until_tokens={STEPS * 2048}"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    while not list_checkpoints(str(run)) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    began = time.monotonic()
    refused = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert time.monotonic() - began < LEASE_S + 5, "five seconds to import"
    assert refused.returncode == 1
    line = rf"hdna: error: {run}: process {first.pid} on \S+ has been training this run since 20\S+Z: wait for it"
    assert re.match(line, refused.stderr.splitlines()[-1])
    _, said = first.communicate(timeout=TIMEOUT_S)
    assert first.returncode == 0, said
    assert [record.step for record in read_metrics(str(run))] == list(range(1, STEPS + 1))
