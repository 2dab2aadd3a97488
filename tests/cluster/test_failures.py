"""What ended the workers: one line with the first cause, and advice that depends on whether it would happen again."""

from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.train import ControllerError, WorkerGroupError

from hdna.errors import InputError, LeavingNodeError, LostWorkerError
from hdna_cluster.failures import first_cause
from hdna_cluster.session import logs_folder

LOST = LostWorkerError("rank 0 of 2: another worker died")


def line(error: Exception) -> str:
    text = str(first_cause(error, "runs/x", "/logs"))
    assert "\n" not in text
    assert len(text) < 700
    return text


@pytest.mark.parametrize(
    "failures", [{0: LOST, 1: InputError("s.tar: damaged")}, {0: InputError("s.tar: damaged"), 1: LOST}]
)
def test_bad_input_on_one_worker_is_the_message_of_the_run(failures: dict[int, Exception]) -> None:
    assert line(WorkerGroupError("all of them", failures)) == "s.tar: damaged"


def test_a_bug_names_the_exception_and_its_worker_and_is_not_to_be_repeated() -> None:
    text = line(WorkerGroupError("'exp_avg'", {0: LOST, 1: KeyError("exp_avg")}))
    assert text.startswith("runs/x: worker 1 failed: KeyError: 'exp_avg': ")
    assert "report it with the log" in text and "/logs" in text


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (LOST, "worker 0 lost another one: rank 0 of 2: another worker died"),
        (ActorDiedError(), "worker 0 was lost: ray.exceptions.ActorDiedError: The actor died unexpectedly"),
    ],
)
def test_a_lost_worker_is_told_from_one_that_failed(failure: Exception, reason: str) -> None:
    lost = WorkerGroupError("lost", {0: failure, 1: LOST})
    assert line(lost).startswith(f"runs/x: {reason}")
    assert isinstance(first_cause(lost, "runs/x", "/logs"), LostWorkerError)
    bug = WorkerGroupError("'exp_avg'", {0: LOST, 1: KeyError("exp_avg")})
    assert not isinstance(first_cause(bug, "runs/x", "/logs"), LostWorkerError)


def test_a_group_that_has_saved_for_a_node_that_leaves_says_so_itself_and_goes_on() -> None:
    """Rank 0 says it; the others may lose it when it ends."""
    leaving = WorkerGroupError("leaving", {0: LeavingNodeError("runs/x: saved at step 410"), 1: LOST})
    assert line(leaving) == "runs/x: saved at step 410"
    assert isinstance(first_cause(leaving, "runs/x", "/logs"), LostWorkerError), "it goes on with others"


def test_too_little_memory_says_what_to_lower() -> None:
    text = line(WorkerGroupError("", {0: MemoryError("x" * 10_000)}))
    assert "worker 0 has too little memory: MemoryError: xxx" in text
    assert "halve curriculum.N.micro_batch_size" in text


def test_the_cause_is_found_inside_rays_exceptions() -> None:
    wrapped = RayTaskError("poll", "a traceback", KeyError("exp_avg")).as_instanceof_cause()
    assert "Ray's own part of the run failed: KeyError: 'exp_avg'" in line(ControllerError(wrapped))
    assert isinstance(first_cause(ActorDiedError(), "runs/x", "/logs"), LostWorkerError)


def test_logs_are_where_this_ray_has_its_files() -> None:
    """As with `ray start --temp-dir`, or RAY_TMPDIR: nothing of the path is hdna's own but its last part."""
    context = SimpleNamespace(get_temp_dir=lambda: "/scratch/me", get_session_name=lambda: "session_7")
    ray = SimpleNamespace(get_runtime_context=lambda: context)
    assert logs_folder(ray) == "/scratch/me/session_7/logs/train"
