"""What a run reports to the terminal while it trains."""

from collections.abc import Callable
from dataclasses import dataclass

from hdna.run.step_record import StepRecord


@dataclass(frozen=True)
class StepDone:
    """An optimizer step is done."""

    record: StepRecord
    steps: int
    """Steps of the whole run."""


Event = str | StepDone
"""Text for the user, or a step."""

Report = Callable[[Event], None]
"""Receives a run's events in order, called by rank 0. It may raise: training goes on without it."""
