"""How long a run still takes, at the pace of its last steps."""

from hdna.run.events import StepDone

_SMOOTHING = 0.1
"""Weight of the newest step in the mean that the time left is estimated from."""


def seconds_left(event: StepDone, before: float | None) -> float | None:
    """Seconds from this step to the run's end; `before`: what was left at the step before, if that is known.

    None if the step was not timed. A step with an evaluation may be a hundred times as long as others: it only takes
    its own time off what was left.
    """
    if event.record.seconds is None:
        return None
    if before is not None and event.record.valid_loss is not None:
        return max(0.0, before - event.record.seconds)
    left = (event.steps - event.record.step) * event.record.seconds
    if before is None:
        return left
    return _SMOOTHING * left + (1 - _SMOOTHING) * max(0.0, before - event.record.seconds)
