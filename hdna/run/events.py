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


@dataclass(frozen=True)
class WorkersStarted:
    """A group of workers has its processors or GPUs, and begins to load data and model."""

    workers: int


@dataclass(frozen=True)
class Doing:
    """What the run does from now on, other than steps, and how far it is."""

    what: str


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is committed."""

    step: int
    url: str


Event = str | Doing | StepDone | WorkersStarted | CheckpointSaved
"""Text for the user, or what it says it is."""

Report = Callable[[Event], None]
"""Receives a run's events in order, called by rank 0. It may raise: training goes on without it."""
