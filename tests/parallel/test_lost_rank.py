"""A rank that dies or hangs in the middle of a run: the others end with one clear line, within the time-out."""

import signal
from pathlib import Path

import pytest
from support.rank_tasks import run_absent, run_training
from support.ranks import Rank, start_impatient_ranks, start_ranks

pytestmark = pytest.mark.ranks

TIMEOUT_S = 3
PATIENCE_S = 60
"""How long a process may take to end on a busy machine, once a collective has timed out."""


@pytest.mark.parametrize(
    ("sent", "degree"),
    [(signal.SIGKILL, 3), (signal.SIGSTOP, 3), (signal.SIGSTOP, 1)],
    ids=["dies", "hangs", "hangs as a data rank"],
)
def test_a_lost_rank_ends_the_others_with_an_error_that_says_so(
    sent: signal.Signals, degree: int, tiny_recipe: Path, tmp_path: Path
) -> None:
    ranks = lose_one_of_three(tiny_recipe, tmp_path / "run", degree, sent)
    try:
        for rank in ranks[:2]:
            assert rank.wait(TIMEOUT_S + PATIENCE_S) == 1
            assert "LostWorkerError: rank" in rank.errors()
            assert "another worker died, or did not reach a collective" in rank.errors()
    finally:
        for rank in ranks:
            rank.kill()


def test_deepspeeds_own_process_group_waits_no_longer(tiny_recipe: Path) -> None:
    """It is made with torch's default of half an hour; here a rank hangs between two of our own collectives."""
    overrides = ["parallel.workers=2", "curriculum.0.micro_batch_size=4", f"parallel.collective_timeout_s={TIMEOUT_S}"]
    waiting, absent = start_ranks(2, run_absent, recipe=tiny_recipe, overrides=overrides)
    try:
        assert waiting.wait(TIMEOUT_S + PATIENCE_S) == 1
        assert "LostWorkerError: rank 0 of 2" in waiting.errors()
    finally:
        absent.kill()
        waiting.kill()


def lose_one_of_three(recipe: Path, url: Path, degree: int, sent: signal.Signals) -> list[Rank]:
    """Start three ranks on a run too long to end; send the last a signal once steps are being made."""
    overrides = [
        f"run.url={url}",
        "parallel.workers=3",
        f"parallel.collective_timeout_s={TIMEOUT_S}",
        f"curriculum.0.sequence_parallel={degree}",
        "curriculum.0.micro_batch_size=1",
        "curriculum.0.context_length=252",
        "curriculum.0.until_tokens=1e9",
        "curriculum.1.context_length=252",
        "curriculum.1.until_tokens=2e9",
        "optim.global_batch_tokens=756",
        "checkpoint.every_steps=1000000",
        "evaluate.every_steps=1000000",
    ]
    ranks = start_impatient_ranks(TIMEOUT_S, 3, run_training, recipe=recipe, overrides=overrides)
    ranks[0].wait_for_step(5)
    ranks[2].send(sent)
    return ranks
