"""A run goes on as long as it gets on: three losses of a worker without a checkpoint in between end it."""

from pathlib import Path

import pytest
from support.fuzz_doors import save_checkpoint

from hdna.checkpoint import RunState
from hdna.errors import InputError, LostWorkerError
from hdna_cluster.restarts import MAX_LOST_IN_A_ROW, keep_going


def test_a_run_goes_on_as_long_as_checkpoints_are_added(tmp_path: Path) -> None:
    attempts = 0
    said: list[str] = []

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 5:
            save_checkpoint(tmp_path, RunState(step=attempts, tokens=attempts))
            raise LostWorkerError("worker 1 was lost")

    keep_going(attempt, str(tmp_path), said.append, lambda: False)
    assert attempts == 6
    assert said == ["worker 1 was lost"] * 5


def test_a_run_that_loses_workers_without_getting_on_ends(tmp_path: Path) -> None:
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            save_checkpoint(tmp_path, RunState(step=1, tokens=1))
        raise LostWorkerError("worker 1 was lost")

    with pytest.raises(LostWorkerError, match="lost 3 times without a new checkpoint"):
        keep_going(attempt, str(tmp_path), lambda event: None, lambda: False)
    assert attempts == 1 + MAX_LOST_IN_A_ROW


def test_what_would_happen_again_is_not_tried_again(tmp_path: Path) -> None:
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        raise InputError("s.tar: damaged")

    with pytest.raises(InputError, match=r"^s\.tar: damaged$"):
        keep_going(attempt, str(tmp_path), lambda event: None, lambda: False)
    assert attempts == 1


def test_a_run_that_is_told_to_stop_does_not_start_again(tmp_path: Path) -> None:
    def attempt() -> None:
        raise LostWorkerError("worker 1 was lost")

    with pytest.raises(LostWorkerError, match=r"^worker 1 was lost$"):
        keep_going(attempt, str(tmp_path), lambda event: None, lambda: True)
