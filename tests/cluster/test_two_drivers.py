"""Two drivers on one run, through real Ray: one trains it; what the other may do depends on whether that one lives."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from support.processes import descendants

from hdna.checkpoint import list_checkpoints, load_weights
from hdna.run.files import read_metrics
from hdna.run.lease import LEASE_S

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 300
STEPS = 150

pytestmark = [pytest.mark.ray, pytest.mark.chaos]


def command(recipe: Path, run: Path) -> list[str]:
    return [HDNA, "train", str(recipe), f"run.url={run}", f"curriculum.1.until_tokens={STEPS * 2048}"]


@contextmanager
def driver(recipe: Path, run: Path) -> Iterator[subprocess.Popen[str]]:
    """`hdna train` that has saved a checkpoint and goes on; ended at the end, with its workers."""
    process = subprocess.Popen(
        command(recipe, run), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not list_checkpoints(str(run)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.poll() is None
    try:
        yield process
    finally:
        if process.poll() is None:
            for pid in [process.pid, *(pid for pid, _ in descendants(process.pid))]:
                os.kill(pid, signal.SIGCONT)
            process.terminate()
            process.communicate(timeout=TIMEOUT_S)


def again(recipe: Path, run: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(recipe, run), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def assert_undisturbed(recipe: Path, run: Path, tmp_path: Path) -> None:
    """Every step once, and the weights of a run of its own, to the last bit."""
    assert [record.step for record in read_metrics(str(run))] == list(range(1, STEPS + 1))
    assert again(recipe, tmp_path / "undisturbed").returncode == 0
    expected = load_weights(str(tmp_path / "undisturbed"))
    assert all(torch.equal(value, expected[name]) for name, value in load_weights(str(run)).items())


def test_a_second_driver_is_refused_and_takes_over_once_the_first_is_killed(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with driver(tiny_recipe, run) as first:
        began = time.monotonic()
        refused = again(tiny_recipe, run)
        assert time.monotonic() - began < LEASE_S + 5, "five seconds to import"
        assert refused.returncode == 1
        line = rf"hdna: error: {run}: process {first.pid} on \S+ has been training this run since 20\S+Z: wait for it"
        assert re.match(line, refused.stderr.splitlines()[-1])
        os.kill(first.pid, signal.SIGKILL)
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
        done = again(tiny_recipe, run)
    assert done.returncode == 0, done.stderr
    assert "looking for" not in done.stderr, "a killed process of this machine is known to be gone"
    assert_undisturbed(tiny_recipe, run, tmp_path)


def test_a_driver_that_was_paused_and_replaced_ends_with_a_line_and_commits_nothing(
    tiny_recipe: Path, tmp_path: Path
) -> None:
    """Paused with its workers and the rest of its Ray, as a machine is that sleeps."""
    run = tmp_path / "run"
    with driver(tiny_recipe, run) as first:
        everything = [first.pid, *(pid for pid, _ in descendants(first.pid))]
        for pid in everything:
            os.kill(pid, signal.SIGSTOP)
        done = again(tiny_recipe, run)
        assert done.returncode == 0, done.stderr
        assert "was training this run: looking for 10 s whether it still is" in done.stderr
        before = [ref.url for ref in list_checkpoints(str(run))]
        for pid in everything:
            os.kill(pid, signal.SIGCONT)
        _, said = first.communicate(timeout=TIMEOUT_S)
    assert first.returncode == 1
    assert f"hdna: error: {run}: process" in said and "has taken this run over" in said.splitlines()[-1]
    assert [ref.url for ref in list_checkpoints(str(run))] == before
    assert_undisturbed(tiny_recipe, run, tmp_path)
