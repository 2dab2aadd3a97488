"""Processes of a run that die in its middle: the one that passes progress on costs nothing, a worker costs no work."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hdna.checkpoint import list_checkpoints
from hdna.run.files import read_json, read_metrics

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 240


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """The processes below `pid` with their titles."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            title = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield child, title.strip()
            yield from descendants(child)


def train_and_kill(
    title: str, recipe: Path, url: Path, workers: int, tokens: int, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """`hdna train`; once it has a checkpoint, the last of its processes with that title is killed."""
    command = [HDNA, "train", str(recipe), f"run.url={url}", f"parallel.workers={workers}"]
    command += [f"curriculum.1.until_tokens={tokens}", "checkpoint.keep_last=2"]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
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


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for Ray, whose sockets in it must have short paths."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
def test_a_run_outlives_the_process_that_passes_its_progress_on(tiny_recipe: Path, tmp_path: Path) -> None:
    url = tmp_path / "run"
    steps = 100
    done = train_and_kill("ray::Mailbox", tiny_recipe, url, 1, steps * 2048, {})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("progress: some may be missing here") == 1
    assert f"; {url}/metrics.jsonl has all of it; training goes on" in done.stderr
    assert "1 time something beside training failed: progress (1)" in done.stderr
    assert f"step {steps}/{steps} " in done.stderr, "Ray starts the process again"
    assert [record.step for record in read_metrics(str(url))] == list(range(1, steps + 1))
    assert read_json(str(url), "state.json")["status"] == "done"


@pytest.mark.ray
def test_a_killed_worker_ends_the_run_with_one_line_and_where_its_log_is(
    tiny_recipe: Path, tmp_path: Path, short_folder: Path
) -> None:
    url = tmp_path / "run"
    environment = {"RAY_TMPDIR": str(short_folder)}
    done = train_and_kill("ray::RayTrainWorker", tiny_recipe, url, 2, 500_000 * 2048, environment)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hdna: error: ")]
    assert re.search(f"{url}: worker [01] was lost: its worker process has died", line)
    assert "the same command continues from the newest checkpoint" in line
    logs = Path(line.rpartition("logs: ")[2])
    assert logs.is_relative_to(short_folder)
    assert list(logs.glob("*worker*.log"))
    assert read_json(str(url), "state.json")["status"] == "stopped"
