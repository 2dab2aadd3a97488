"""Metrics when the disk is full, TensorBoard breaks or the bucket is gone: training goes on, and so do the numbers."""

import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.s3 import QUICK, moto_bucket

from hdna.run.best_effort import BestEffort
from hdna.run.events import Event
from hdna.run.files import read_metrics
from hdna.run.lease import Lease
from hdna.run.metrics import Metrics
from hdna.run.step_record import StepRecord
from hdna.storage import retry

MIB = 1 << 20


def record(step: int) -> StepRecord:
    return StepRecord(step=step, tokens=step * 1024, stage=0, context_length=64, loss=1.5, grad_norm=0.5)


@contextmanager
def no_file_above(limit: int) -> Iterator[None]:
    """A disk that is full once a file has `limit` bytes, for machines where no file system can be mounted."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_that_a_full_disk_refuses_are_written_once_there_is_space(tmp_path: Path) -> None:
    steps = (MIB - 100) // len(record(1000).to_line())
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(record(step).to_line() for step in range(1, steps + 1)))
    said: list[Event] = []
    best_effort = BestEffort(said.append)
    metrics = Metrics(str(tmp_path), steps, best_effort)
    with no_file_above((tmp_path / "metrics.jsonl").stat().st_size + 100):
        for step in range(steps + 1, steps + 4):
            metrics.log(record(step))
    metrics.log(record(steps + 4))
    metrics.close()
    (line,) = said
    assert str(line).startswith(f"{tmp_path}/metrics.jsonl: File too large: ")
    assert str(line).endswith("; training goes on")
    assert best_effort.summary() == f"3 times something beside training failed: {tmp_path}/metrics.jsonl (3)"
    assert [found.step for found in read_metrics(str(tmp_path))] == list(range(1, steps + 5))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's thread
def test_a_broken_tensorboard_costs_no_step_and_begins_again_with_the_next_checkpoint(tmp_path: Path) -> None:
    """Its folder is removed: the writer's own thread meets that, and a later call raises it."""
    said: list[Event] = []
    best_effort = BestEffort(said.append)
    metrics = Metrics(str(tmp_path), 0, best_effort)
    metrics.log(record(1))
    metrics.publish()
    shutil.rmtree(tmp_path / "tensorboard")
    step = 1
    while not said and step < 1000:
        step += 1
        metrics.log(record(step))
        time.sleep(0.01)
    metrics.log(record(step + 1))
    assert said == [
        f"{tmp_path}/tensorboard: No such file or directory: see whether the path is right; training goes on"
    ]
    assert not (tmp_path / "tensorboard").exists()
    metrics.publish()
    metrics.log(record(step + 2))
    metrics.close()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert best_effort.summary() == f"1 time something beside training failed: {tmp_path}/tensorboard (1)"
    assert [found.step for found in read_metrics(str(tmp_path))] == list(range(1, step + 3))


def test_a_bucket_out_of_reach_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY", QUICK)
    said: list[Event] = []
    best_effort = BestEffort(said.append)
    with moto_bucket() as bucket:
        metrics = Metrics(f"{bucket}/run", 0, best_effort)
        metrics.log(record(1))
        metrics.publish()
        assert [found.step for found in read_metrics(f"{bucket}/run")] == [1]
    metrics.log(record(2))
    metrics.publish()
    metrics.close()
    assert len(said) == 1
    assert str(said[0]).startswith(f"upload of metrics: {bucket}/run/metrics.jsonl: ")
    assert best_effort.summary() == "4 times something beside training failed: upload of metrics (4)"


def test_a_worker_group_that_was_replaced_uploads_nothing_more() -> None:
    said: list[Event] = []
    with moto_bucket() as bucket:
        run = f"{bucket}/run"
        metrics = Metrics(run, 0, BestEffort(said.append), Lease(run, 0).fence)
        metrics.log(record(1))
        metrics.publish()
        Lease(run, 1)
        metrics.log(record(2))
        metrics.close()
        assert [found.step for found in read_metrics(run)] == [1]
    assert "has taken this run over" in str(said[0])
