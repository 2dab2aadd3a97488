"""`hdna train` through a real Ray on this machine, as a user types it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from support.files import flip_bit
from support.fork_server import REPO

from hdna.checkpoint import list_checkpoints, load_weights
from hdna.run.files import read_json, read_metrics
from hdna_cluster.resources import processors_each

HDNA = str(Path(sys.executable).with_name("hdna"))
TIMEOUT_S = 240


def hdna(*command: object, cwd: Path = REPO, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line; its output for people is on stderr."""
    return subprocess.run(
        [HDNA, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


class FinishedRun(NamedTuple):
    """The folder of a run, and the command that brought it to its end."""

    url: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run that `hdna train` brought to its end with two workers."""
    url = tmp_path_factory.mktemp("ray") / "run"
    done = hdna("train", tiny_recipe, f"run.url={url}", "parallel.workers=2")
    assert done.returncode == 0, done.stderr
    return FinishedRun(url, done)


@pytest.mark.ray
def test_a_finished_run_leaves_metrics_state_recipe_tensorboard_and_checkpoints(finished: FinishedRun) -> None:
    url, done = finished
    assert "stage 0 steps 1-6: 2 samples x 256 tokens x 2 micro steps x 2 data rank(s) = 2,048 tokens" in done.stderr
    assert "torch AdamW and LayerNorm (no GPU)" in done.stderr or torch.cuda.is_available()
    assert [record.step for record in read_metrics(str(url))] == list(range(1, 11))
    assert read_json(str(url), "state.json")["status"] == "done"
    assert (url / "recipe.yaml").exists()
    assert list((url / "tensorboard").iterdir())
    assert [ref.step for ref in list_checkpoints(str(url))] == [2, 4, 6, 8, 10]


@pytest.mark.ray
def test_the_same_command_again_finds_it_done(finished: FinishedRun, tiny_recipe: Path) -> None:
    url = finished.url
    before = load_weights(str(url))
    done = hdna("train", tiny_recipe, f"run.url={url}", "parallel.workers=1")
    assert done.returncode == 0, done.stderr
    assert "all 10 steps are done already" in done.stderr
    assert "starting Ray" not in done.stderr
    assert all(torch.equal(value, before[name]) for name, value in load_weights(str(url)).items())


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
def test_two_runs_never_share_a_url(
    overrides: list[str], message: str, finished: FinishedRun, tiny_recipe: Path
) -> None:
    url = finished.url
    before = {
        path: path.read_bytes() for path in sorted(url.rglob("*")) if path.is_file() and path.name != "state.json"
    }
    assert_refused(hdna("train", tiny_recipe, f"run.url={url}", *overrides), message)
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


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """One line at the end, exit status 1, no traceback, nothing of Ray's own."""
    assert done.returncode == 1, done.stderr
    *started, error = done.stderr.splitlines()
    assert error.startswith("hdna: error: ") and message in error
    assert started[:1] in ([], ["starting Ray and DeepSpeed ..."])
    assert all(started) and "Traceback" not in done.stderr and "(raylet)" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.shards=[nowhere]"], "nowhere: not a committed shard set"),
        pytest.param(
            ["parallel.workers=64", "optim.global_batch_tokens=131072"],
            "parallel.workers=64: the cluster has",
            marks=pytest.mark.ray,
        ),
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


@pytest.mark.ray
def test_a_damaged_shard_ends_the_run_with_its_name(tiny_set: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    copy = tmp_path / "shards"
    shutil.copytree(tiny_set, copy)
    shard = next(copy.glob("train-*.tar"))
    flip_bit(shard)
    done = hdna("train", tiny_recipe, f"run.url={tmp_path / 'run'}", f"data.shards=[{copy}]")
    assert_refused(done, f"{shard}: damaged")


@pytest.mark.ray
def test_an_interrupted_run_continues(tiny_recipe: Path, tmp_path: Path) -> None:
    """Ctrl-C in mid-run, then the same command: no step is lost, and the run may be taken up at once."""
    url = tmp_path / "run"
    command = [HDNA, "train", str(tiny_recipe), f"run.url={url}", "curriculum.1.until_tokens=2e6"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT_S
    while not list_checkpoints(str(url)) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert read_json(str(url), "state.json")["status"] == "stopped"
    step = list_checkpoints(str(url))[-1].step
    assert f"stopped at step {step}; the same command continues from there" in err, err
    done = hdna(
        "train",
        tiny_recipe,
        f"run.url={url}",
        f"curriculum.1.until_tokens={(max(step, 6) + 3) * 2048}",
        "run.resume=force",
    )
    assert done.returncode == 0, done.stderr
    assert "run.resume=force: curriculum.1.until_tokens was 2000000, and is " in done.stderr
    assert f"resumes after step {step}" in done.stderr
