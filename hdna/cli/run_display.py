"""What a command that trains shows of the run on stderr, each line with its time."""

import time
from collections.abc import Mapping

from hdna.progress import Progress
from hdna.quantities import duration, short
from hdna.run.events import CheckpointSaved, Doing, Event, StepDone, WorkersStarted
from hdna.run.pace import seconds_left
from hdna.run.step_record import StepRecord

COLUMNS = 80


class RunDisplay:
    """Shows events. A call raises an error, which ends no run, when the terminal is gone."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._seconds_left: float | None = None

    def __call__(self, event: Event) -> None:
        """Texts, checkpoints and evaluations stay on the terminal; other steps only move the bar."""
        try:
            self._show(event)
        except SystemExit:  # rich's answer to a closed pipe
            raise BrokenPipeError("the pipe that the output goes to is closed") from None

    def _show(self, event: Event) -> None:
        if isinstance(event, str):
            self._display.print(event if "\n" in event else _stamped(event))
        elif isinstance(event, Doing):
            self._begin(event.what)
        elif isinstance(event, WorkersStarted):
            self._seconds_left = None
            self._begin(f"loading data and model on {event.workers} worker(s)")
        elif isinstance(event, CheckpointSaved):
            self._display.print(_stamped(f"checkpoint {event.url.rpartition('/')[2]}"))
        else:
            self._show_step(event)

    def _begin(self, what: str) -> None:
        self._display.begin(f"{what} ...", _stamped(f"{what} ..."))

    def _show_step(self, event: StepDone) -> None:
        record = event.record
        self._seconds_left = seconds_left(event, self._seconds_left)
        keep = record.valid_loss is not None or record.step == event.steps
        where = f"step {record.step}/{event.steps} at {record.context_length:,}: {_loss(record)}"
        rate = f"{short(record.tokens_per_second or 0)} tokens/s"
        left = "" if self._seconds_left is None else f"{duration(self._seconds_left)} left"
        line = _fitting(_stamped(where), _valid(record), rate, left)
        self._display.update(record.step, event.steps, f"{where}, {rate}", line, keep)
        if record.valid_sets and len(record.valid_sets) > 1:
            self._display.print(_valid_by_assembly(record.valid_sets))


def _valid_by_assembly(sets: Mapping[str, Mapping[str, float | None]]) -> str:
    """The score of each, a line for each."""
    bits = {name: own["bits_per_base"] for name, own in sets.items()}
    return "\n".join(f"         valid {value:.4f} {name}" for name, value in bits.items() if value is not None)


def _stamped(text: str) -> str:
    return f"{time.strftime('%H:%M:%S')} {text}"


def _fitting(step: str, valid: str, rate: str, left: str) -> str:
    """As much of it as 80 columns hold; of `rate` and `left`, the latter is worth more."""
    lines = [", ".join(filter(None, parts)) for parts in ((step, valid, rate, left), (step, valid, left))]
    return next((line for line in lines if len(line) <= COLUMNS), ", ".join(filter(None, (step, valid))))


def _loss(record: StepRecord) -> str:
    if record.bits_per_base is not None:
        return f"{record.bits_per_base:.4f} bits/base"
    return "not finite: skipped" if record.predicted_bases else "nothing but N"


def _valid(record: StepRecord) -> str:
    """The valid split's score, at each context if there are several."""
    if record.valid_bits_by_context:
        scores = record.valid_bits_by_context.items()
        return "valid " + " ".join(f"{bits:.4f} at {int(context):,}" for context, bits in scores)
    return "" if record.valid_bits_per_base is None else f"valid {record.valid_bits_per_base:.4f}"
