"""A run that loses workers goes on from its newest checkpoint, on those that are left."""

from collections.abc import Callable

from hdna.checkpoint import list_checkpoints
from hdna.errors import InputError, LostWorkerError

MAX_LOST_IN_A_ROW = 3
"""Losses without a checkpoint in between after which a run ends: it would lose workers for ever, for want of memory
for example."""


def keep_going(
    attempt: Callable[[], None], run_url: str, on_loss: Callable[[str], None], is_stopping: Callable[[], bool]
) -> None:
    """Call `attempt`, which trains from the newest checkpoint, again after each loss of a worker; `on_loss` is told.

    Raises whatever else ends it, and LostWorkerError after three losses without progress, or when the run is stopping.
    """
    lost_in_a_row, newest = 0, _newest_step(run_url)
    while True:
        try:
            return attempt()
        except LostWorkerError as error:
            if is_stopping():
                raise
            before, newest = newest, _newest_step(run_url)
            lost_in_a_row = 1 if newest > before else lost_in_a_row + 1
            if lost_in_a_row == MAX_LOST_IN_A_ROW:
                raise LostWorkerError(
                    f"{error}: lost {lost_in_a_row} times without a new checkpoint: look at the memory of its node, or "
                    f"save more often (checkpoint.every_steps); the same command continues"
                ) from None
            on_loss(str(error))


def _newest_step(run_url: str) -> int:
    """0 without a checkpoint, and while the bucket cannot be reached: then the attempt says so."""
    try:
        return max((ref.step for ref in list_checkpoints(run_url)), default=0)
    except InputError:
        return 0
