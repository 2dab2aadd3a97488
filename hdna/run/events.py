"""What a run tells the terminal while it trains."""

from collections.abc import Callable
from dataclasses import dataclass

from hdna.run.step_record import StepRecord


@dataclass(frozen=True)
class StepDone:
    """An optimizer step has been made."""

    record: StepRecord
    steps: int
    """Steps of the whole run."""


Event = str | StepDone
"""A text for people, or a step."""

Report = Callable[[Event], None]
"""Receives the events of a run, in order; rank 0 calls it."""
