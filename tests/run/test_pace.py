"""The time left: that of the steps to come at the pace of the last ones, which an evaluation is no part of."""

from itertools import pairwise

import pytest

from hdna.run.events import StepDone
from hdna.run.pace import seconds_left
from hdna.run.step_record import StepRecord


def left(steps: int, seconds: float, evaluated_every: int, evaluation: float) -> list[float]:
    """What is said after each of the steps of a run."""
    said: list[float] = []
    for step in range(1, steps + 1):
        scored = step % evaluated_every == 0
        record = StepRecord(step, step, 0, 8, seconds=seconds + evaluation * scored, valid_loss=1.3 if scored else None)
        found = seconds_left(StepDone(record, steps), said[-1] if said else None)
        assert found is not None
        said.append(found)
    return said


def test_at_an_even_pace_it_is_exact_and_an_evaluation_does_not_disturb_it() -> None:
    said = left(100, 0.5, evaluated_every=1000, evaluation=0.0)
    assert said == pytest.approx([0.5 * (100 - step) for step in range(1, 101)])
    disturbed = left(100, 0.5, evaluated_every=50, evaluation=2.0)
    assert max(later - before for before, later in pairwise(disturbed)) < 0.5
    # What the evaluation took is missing from what was left, until later steps have told better.
    assert max(abs(one - other) for one, other in zip(disturbed, said, strict=True)) == pytest.approx(2.0)
    assert disturbed[-1] == 0.0
