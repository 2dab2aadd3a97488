"""What a recipe costs in worker-hours: the least by its plan, and what its run has taken and will take at its pace."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdna.run.files import read_metrics
from hdna.run.ownership import refuse_taken
from hdna.run.status import read_status
from hdna.run.step_record import StepRecord
from hdna_cluster.plan import Plan


@dataclass(frozen=True)
class Spending:
    """A run that has begun, in worker-hours."""

    spent: float
    """So far, with starts, waits and steps that were done again."""
    share_of_tokens: float
    """Seen so far, from 0 to 1."""
    expected: float
    """Of the whole run, at the pace of its steps so far."""


def least_worker_hours(made: Plan) -> float | None:
    """By the plan's lower bounds; None if the device's rates are unknown."""
    return None if made.seconds is None else made.seconds / 3600 * made.config.parallel.workers


def spending(made: Plan) -> Spending | None:
    """Of the run at the recipe's run.url; None if none of its steps is done and timed.

    Raises InputError when the run there is another recipe's.
    """
    url = made.config.run.url
    steps = [step for step in read_metrics(url) if step.seconds and step.workers]
    if not steps:
        return None
    refuse_taken(made.config)
    once = {step.step: step for step in steps}
    trained = sum(step.worker_seconds for step in once.values())
    status = read_status(url)
    # With starts, and steps that were done again; a run of an earlier version does not say so.
    spent = max(trained, status.worker_seconds if status else 0.0)
    pace = [_stage_seconds(made, index, list(once.values())) for index in range(len(made.stages))]
    share = max(once.values(), key=lambda step: step.step).tokens / made.config.curriculum[-1].until_tokens
    return Spending(spent / 3600, share, spent / trained * sum(pace) / 3600)


def _stage_seconds(made: Plan, index: int, steps: Sequence[StepRecord]) -> float:
    """Worker-seconds of all steps of a stage, at the mean of those done.

    A stage that has not begun is as slow as the newest one that has: against its lower bound, or else for each token.
    """
    newest = max(step.stage for step in steps)
    model = min(index, newest)
    mine = [step.worker_seconds for step in steps if step.stage == model] or [step.worker_seconds for step in steps]
    each, bounds, of = sum(mine) / len(mine), made.stages[index].bounds, made.stages[model].bounds
    slower = bounds.seconds / of.seconds if bounds and of and index != model else 1.0
    return each * slower * made.stages[index].steps
