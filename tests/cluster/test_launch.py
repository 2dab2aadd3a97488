"""`hdna train` through a real Ray on this machine, as a user types it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from support.files import flip_bit
from support.fork_server import REPO
from support.forked_command import Ended, run_command
from support.processes import descendants
from support.ray_cluster import Cluster

from hdna.checkpoint import list_checkpoints, load_weights
from hdna.run.files import read_json, read_metrics
from hdna_cluster.resources import processors_each

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 600


def hdna(*words: object) -> Ended:
    """A command that ends before it would start Ray; its output for people is on stderr."""
    return run_command([str(word) for word in words], REPO, TIMEOUT_S)


class Interrupted(NamedTuple):
    """A run that was stopped by Ctrl-C, and what its command said."""

    url: Path
    status: int
    said: str
    step: int
    """The last one committed."""


@pytest.fixture(scope="module")
def interrupted(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """A run that loses the process that passes its progress on once it has a checkpoint, and gets Ctrl-C when there
    is progress again.
    """
    folder = tmp_path_factory.mktemp("ray")
    url, log = folder / "run", folder / "log"
    command = [HDNA, "train", str(tiny_recipe), f"run.url={url}", "curriculum.1.until_tokens=2e8"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        until(lambda: list_checkpoints(str(url)), process)
        (mailbox,) = [pid for pid, title in descendants(process.pid) if title.startswith("ray::Mailbox")]
        os.kill(mailbox, signal.SIGKILL)
        until(lambda: " step " in log.read_text().partition("; training goes on")[2], process)
        process.send_signal(signal.SIGINT)
        status = process.wait(TIMEOUT_S)
    finally:
        process.kill()
    return Interrupted(url, status, log.read_text(), list_checkpoints(str(url))[-1].step)


def until(holds: Callable[[], object], process: "subprocess.Popen[bytes]") -> None:
    """Wait until it holds, as long as the process lives."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


class Finished(NamedTuple):
    """The folder of a run, the words that brought it to its end, and what was said."""

    url: Path
    words: list[str]
    said: str
    steps: int


@pytest.fixture(scope="module")
def finished(interrupted: Interrupted, tiny_recipe: Path) -> Finished:
    """The interrupted run, taken up at once and brought to its end with two workers."""
    steps = max(interrupted.step, 6) + 4
    words = ["train", str(tiny_recipe), f"run.url={interrupted.url}", f"curriculum.1.until_tokens={steps * 2048}"]
    command = [HDNA, *words, "parallel.workers=2", "run.resume=force"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return Finished(interrupted.url, words, done.stderr, steps)


@pytest.mark.ray
def test_ctrl_c_stops_a_run_at_a_checkpoint(interrupted: Interrupted) -> None:
    url, status, said, step = interrupted
    assert status == 130, said
    assert "Traceback" not in said
    assert f"stopped at step {step}; the same command continues from there" in said, said
    assert [record.step for record in read_metrics(str(url))][step - 1] == step


@pytest.mark.ray
def test_a_run_outlives_the_process_that_passes_its_progress_on(interrupted: Interrupted) -> None:
    """Ray starts it again, and it passes the wish to stop on too. To the run's end: test_lost_processes.py."""
    said = interrupted.said
    assert said.count("progress: some may be missing here") == 1
    assert f"; {interrupted.url}/metrics.jsonl has all of it; training goes on" in said
    assert "(raylet)" not in said


@pytest.mark.ray
def test_an_interrupted_run_continues(interrupted: Interrupted, finished: Finished) -> None:
    """No step is lost, and none is done twice."""
    assert "run.resume=force: curriculum.1.until_tokens was 200000000, and is " in finished.said
    assert f"resumes after step {interrupted.step}" in finished.said
    assert [record.step for record in read_metrics(str(finished.url))] == list(range(1, finished.steps + 1))


@pytest.mark.ray
def test_a_finished_run_leaves_metrics_state_recipe_tensorboard_and_checkpoints(finished: Finished) -> None:
    url, _, said, steps = finished
    assert "stage 0 steps 1-6: 2 samples x 256 tokens x 2 micro steps x 2 data rank(s) = 2,048 tokens" in said
    assert "torch AdamW and LayerNorm (no GPU)" in said or torch.cuda.is_available()
    assert [record.step for record in read_metrics(str(url))] == list(range(1, steps + 1))
    assert read_json(str(url), "state.json")["status"] == "done"
    assert (url / "recipe.yaml").exists()
    assert list((url / "tensorboard").iterdir())
    assert list_checkpoints(str(url))[-1].step == steps


@pytest.mark.ray
def test_the_same_command_again_finds_it_done(finished: Finished) -> None:
    before = load_weights(str(finished.url))
    done = hdna(*finished.words)
    assert done.status == 0, done.err
    assert f"all {finished.steps:,} steps are done already" in done.err
    assert "starting Ray" not in done.err
    assert all(torch.equal(value, before[name]) for name, value in load_weights(str(finished.url)).items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.d_model=32"], "already contains another run: its model.d_model is 16, this recipe's is 32"),
        (["optim.learning_rate=1e-3"], "already contains another run: its optim.learning_rate is 0.01"),
        (["run.resume=never"], "already contains a run and run.resume is 'never'"),
        (["run.resume=force", "model.n_layer=1"], "already contains another run: its model.n_layer is 2"),
    ],
)
@pytest.mark.ray
def test_two_runs_never_share_a_url(overrides: list[str], message: str, finished: Finished) -> None:
    url = finished.url
    before = {
        path: path.read_bytes() for path in sorted(url.rglob("*")) if path.is_file() and path.name != "state.json"
    }
    assert_refused(hdna(*finished.words, *overrides), message)
    assert before == {path: path.read_bytes() for path in before}


def test_a_folder_of_something_else_is_refused_untouched(tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert_refused(hdna("train", tiny_recipe, f"run.url={tmp_path}"), "contains files that are not an hdna run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("nodes", "workers", "each"),
    [([2], 1, 2), ([2], 2, 1), ([3, 3], 1, 3), ([8, 4], 3, 4), ([8, 4], 2, 4), ([5, 1], 3, 1)],
)
def test_a_worker_asks_for_no_more_than_one_node_has(nodes: list[int], workers: int, each: int) -> None:
    """A request that no node can hold would wait for ever."""
    assert processors_each(nodes, workers) == each


def assert_refused(done: Ended, message: str) -> None:
    """One line at the end, exit status 1, no traceback, nothing of Ray's own."""
    assert done.status == 1, done.err
    *started, error = done.err.splitlines()
    assert error.startswith("hdna: error: ") and message in error
    assert not started or started[0].endswith(" starting Ray ...")
    assert all(started) and "Traceback" not in done.err and "(raylet)" not in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.shards=[nowhere]"], "nowhere: not a committed shard set"),
        (
            ["curriculum.1.context_length=4096", "model.l_max=4096", "optim.global_batch_tokens=8192"],
            "needs windows of",
        ),
        (["optim.global_batch_tokens=2000"], "does not divide optim.global_batch_tokens"),
        (["curriculum.1.context_length=1024"], "is longer than model.l_max=514"),
        (["run.url=ftp://x/y"], "scheme 'ftp' is not supported"),
    ],
)
def test_bad_input_is_reported_before_anything_is_written(
    overrides: list[str], message: str, tiny_recipe: Path, tmp_path: Path
) -> None:
    url = tmp_path / "run"
    arguments = overrides if overrides[0].startswith("run.url") else [f"run.url={url}", *overrides]
    assert_refused(hdna("train", tiny_recipe, *arguments), message)
    assert not url.exists()


def joined(cluster: Cluster, *words: object) -> Ended:
    """`hdna train` on a cluster that is there."""
    began, command = time.monotonic(), [HDNA, "train", *map(str, words)]
    done = subprocess.run(command, env=cluster.joined, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


@pytest.mark.ray
def test_more_workers_than_the_cluster_has_are_refused(cluster: Cluster, tiny_recipe: Path, tmp_path: Path) -> None:
    url = tmp_path / "run"
    done = joined(cluster, tiny_recipe, f"run.url={url}", "parallel.workers=64", "optim.global_batch_tokens=131072")
    assert_refused(done, "parallel.workers=64: the cluster has 2 CPUs")
    assert not url.exists()


@pytest.mark.ray
def test_a_damaged_shard_ends_the_run_with_its_name(
    cluster: Cluster, tiny_set: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "shards"
    shutil.copytree(tiny_set, copy)
    shard = next(copy.glob("train-*.tar"))
    flip_bit(shard)
    done = joined(cluster, tiny_recipe, f"run.url={tmp_path / 'run'}", f"data.shards=[{copy}]")
    assert_refused(done, f"{shard}: damaged")
