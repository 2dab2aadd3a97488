"""state.json: what a driver has heard, kept over restarts, and how old it is."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdna.errors import InputError
from hdna.run import lease, status
from hdna.run.best_effort import BestEffort
from hdna.run.events import CheckpointSaved, StepDone, WorkersStarted
from hdna.run.holder import Holder
from hdna.run.lease import LEASE_S, Lease, LeaseLostError, last_lease
from hdna.run.status import RunStatus, StatusFile, read_status
from hdna.run.step_record import StepRecord


def silent(event: object) -> None:
    """Nobody reads what is reported."""


def file_of(run: Path) -> StatusFile:
    return StatusFile(str(run), Lease(str(run), last_lease(str(run), silent)), BestEffort(silent))


def written(run: Path) -> RunStatus:
    found = read_status(str(run))
    assert found
    return found


def step(number: int, seconds: float = 2.0) -> StepDone:
    record = StepRecord(number, number * 512, 1, 256, seconds=seconds, skipped=3)
    return StepDone(record, steps=100)


def test_what_the_driver_hears_is_what_the_file_says(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    with file.kept():
        assert (written(tmp_path).status, written(tmp_path).workers) == ("running", 0)
        file.waits("waiting for 8 GPUs")
        for event in (WorkersStarted(4), step(39), step(40), CheckpointSaved(40, "s3://b/c/step-000040")):
            file.hear(event)
        file.lost("worker 1 was lost")
    found = written(tmp_path)
    assert (found.status, found.step, found.steps, found.tokens, found.stage) == ("done", 40, 100, 40 * 512, 1)
    assert (found.last_checkpoint_step, found.skipped, found.message) == (40, 3, "")
    (restart,) = found.restarts
    assert (restart.step, restart.cause) == (40, "worker 1 was lost")
    assert str(found.driver) == str(Holder.this_process())


def test_the_time_left_follows_the_pace(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    with file.kept():
        file.hear(step(50))
        left = [status_now(file, tmp_path, step(number)) for number in range(51, 60)]
    assert left == pytest.approx([2.0 * (100 - number) for number in range(51, 60)])


def test_the_best_evaluation_is_kept_with_its_step_over_restarts(tmp_path: Path) -> None:
    for first, scores in ((1, (1.99, 1.97, 1.98)), (4, (1.96, 1.975))):
        file = StatusFile(str(tmp_path), Lease(str(tmp_path), first), BestEffort(silent))  # the next lease
        with file.kept():
            file.hear(step(90))  # without an evaluation
            for number, bits in enumerate(scores, start=first):
                file.hear(StepDone(replace(step(number).record, valid_bits_per_base=bits), 100))
    found = written(tmp_path)
    assert (found.valid_bits_per_base, found.best_valid_bits_per_base, found.best_valid_step) == (1.975, 1.96, 4)


def status_now(file: StatusFile, run: Path, event: StepDone) -> float | None:
    file.hear(event)
    file.write()
    return written(run).seconds_left


@pytest.mark.parametrize(
    ("error", "ended", "message"),
    [(KeyboardInterrupt(), "stopped", ""), (InputError("no space left"), "failed", "no space left")],
)
def test_how_a_run_ended_and_why(error: BaseException, ended: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(type(error)), file_of(tmp_path).kept():
        raise error
    assert (written(tmp_path).status, written(tmp_path).message) == (ended, message)


def test_a_driver_that_has_lost_the_run_leaves_the_others_file_alone(tmp_path: Path) -> None:
    with pytest.raises(LeaseLostError), file_of(tmp_path).kept():
        (tmp_path / "state.json").write_text('{"status": "done"}')
        raise LeaseLostError("another one")
    assert (tmp_path / "state.json").read_text() == '{"status": "done"}'


def test_time_and_restarts_are_summed_over_drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 0.5)  # so long the second looks whether the first still lives
    for _ in range(2):
        file = file_of(tmp_path)
        with file.kept():
            file.hear(WorkersStarted(3))
            time.sleep(0.2)
            file.lost("worker 0 was lost")
            time.sleep(0.1)
    found = written(tmp_path)
    assert 0.6 <= found.wall_seconds < 5 and 1.2 <= found.worker_seconds < 3 * found.wall_seconds
    assert len(found.restarts) == 2


def test_the_heartbeat_goes_on_while_nothing_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "HEARTBEAT_S", 0.05)
    with file_of(tmp_path).kept():
        first = (tmp_path / "state.json").read_bytes()
        deadline = time.monotonic() + 30
        while (tmp_path / "state.json").read_bytes() == first and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (tmp_path / "state.json").read_bytes() != first
    last = (tmp_path / "state.json").read_bytes()
    time.sleep(0.3)
    assert (tmp_path / "state.json").read_bytes() == last


@pytest.mark.parametrize(("seconds", "lost"), [(5, False), (600, True)])
def test_a_run_whose_heart_has_stopped_is_lost(seconds: int, lost: bool) -> None:
    then = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert RunStatus(heartbeat=then).is_lost == lost
    assert not RunStatus(status="done", heartbeat=then).is_lost


@pytest.mark.parametrize("content", ["", "[]", '{"status": 1}', '{"restarts": [1]}', '{"driver": []}', "{"])
def test_a_damaged_file_is_done_without(content: str, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(content)
    assert read_status(str(tmp_path)) is None
    with file_of(tmp_path).kept():
        pass
    assert json.loads((tmp_path / "state.json").read_text())["status"] == "done"


def test_a_driver_that_slept_while_another_took_over_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a renewal is fresh nobody else can have the run, and nobody is asked."""
    first = file_of(tmp_path)
    first.write()
    Lease(str(tmp_path), 1)
    second = StatusFile(str(tmp_path), Lease(str(tmp_path), 2), BestEffort(silent))
    second.hear(step(7))
    second.write()
    slept_until = lease._seconds() + LEASE_S
    monkeypatch.setattr(lease, "_seconds", lambda: slept_until)
    with pytest.raises(LeaseLostError, match="has taken this run over"):
        first.write()
    assert written(tmp_path).step == 7
