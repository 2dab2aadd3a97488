"""What state.json says of a run: where it is, since when, and whether its driver still lives.

The driver writes it, every few seconds while it lives: a run whose heartbeat is old has lost its driver, whatever its
status.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from hdna import storage
from hdna.errors import InputError
from hdna.run.best_effort import BestEffort, in_one_line
from hdna.run.events import CheckpointSaved, Event, StepDone, WorkersStarted
from hdna.run.files import STATE, read_json, write_json
from hdna.run.holder import Holder
from hdna.run.lease import Lease, LeaseLostError
from hdna.run.pace import seconds_left
from hdna.run.provenance import code_commit, this_command
from hdna.run.repeated import repeated
from hdna.run.step_record import StepRecord
from hdna.run.utc import seconds_since, utc_now
from hdna.storage.untrusted_json import convert_json

RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
HEARTBEAT_S = 10.0
LOST_AFTER_S = 6 * HEARTBEAT_S
"""A heartbeat this old is no longer one: uploads may be slow, and clocks a little apart."""
_MAX_RESTARTS = 100


@dataclass(frozen=True)
class Restart:
    """Workers were lost, and the run went on without them or with others."""

    time: str
    step: int
    """The last step that was heard of."""
    cause: str


@dataclass(frozen=True)
class RunStatus:
    """The content of state.json."""

    status: str = RUNNING
    """running, done, stopped or failed."""
    message: str = ""
    """Why it failed, or what it waits for."""
    step: int = 0
    steps: int = 0
    """Of the whole run; 0 until the first one is done."""
    tokens: int = 0
    stage: int = 0
    context_length: int = 0
    skipped: int = 0
    """Steps skipped because their loss or gradient was not finite."""
    seconds_left: float | None = None
    """At the pace of the last steps."""
    last_checkpoint: str = ""
    last_checkpoint_step: int = 0
    workers: int = 0
    """Processes that train now; 0 while the run waits for them."""
    restarts: tuple[Restart, ...] = ()
    """The newest hundred."""
    driver: Holder | None = None
    command: str = ""
    """That started the last driver."""
    commit: str = ""
    """Of the code it runs, if that is known."""
    heartbeat: str = ""
    """UTC by the driver's clock."""
    wall_seconds: float = 0.0
    """That drivers of this run have lived, all of them together."""
    worker_seconds: float = 0.0
    """That workers have had processors or GPUs, all of them together."""
    recipe: str = ""
    """Its name or file, as the command that trains was given it."""
    valid_bits_per_base: float | None = None
    """Of the newest evaluation."""
    best_valid_bits_per_base: float | None = None
    """The fewest of all evaluations."""
    best_valid_step: int = 0

    @property
    def is_lost(self) -> bool:
        """Whether it says that it is running, but has not been heard of for long."""
        age_s = seconds_since(self.heartbeat)
        return self.status == RUNNING and age_s is not None and age_s > LOST_AFTER_S


def read_status(run_url: str) -> RunStatus | None:
    """A run's status; None if it has none, or none that can be read."""
    found = read_json(run_url, STATE)
    try:
        return convert_json(found, RunStatus, storage.join(run_url, STATE), "done without") if found else None
    except InputError:
        return None


class StatusFile:
    """A driver's end of state.json: told what happens, it writes it from another thread.

    Goes on from what an earlier driver of the run has left there.
    """

    def __init__(self, run_url: str, lease: Lease, best_effort: BestEffort, recipe: str = "") -> None:
        self._run_url, self._lease, self._best_effort = run_url, lease, best_effort
        before = read_status(run_url) or RunStatus()
        # The workers say what is true of them once they run: an older checkpoint may be what they go on from.
        self._now = replace(
            before, status=RUNNING, message="", workers=0, seconds_left=None, driver=lease.holder, recipe=recipe
        )
        self._now = replace(self._now, command=this_command(), commit=code_commit())
        self._counted_until = time.monotonic()
        self._lock = threading.Lock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write it now, again and again within this block, and with the run's end after it.

        Once another driver has the run, its end is for that one to write.
        """
        self.write()
        try:
            with repeated(self.write, lambda: HEARTBEAT_S, STATE, self._best_effort):
                yield
        except KeyboardInterrupt:
            self._end(STOPPED, "")
            raise
        except LeaseLostError:
            raise
        except BaseException as error:
            self._end(FAILED, in_one_line(error))
            raise
        self._end(DONE, "")

    def hear(self, event: Event) -> None:
        """Take what an event says."""
        if isinstance(event, StepDone):
            self._hear_step(event)
        elif isinstance(event, CheckpointSaved):
            self._change(last_checkpoint=event.url, last_checkpoint_step=event.step)
        elif isinstance(event, WorkersStarted):
            self._change(workers=event.workers, message="")

    def waits(self, message: str) -> None:
        """The workers wait for something."""
        self._change(message=message)

    def lost(self, cause: str) -> None:
        """Some worker was lost, and the others have ended with it."""
        restart = Restart(utc_now(), self._now.step, cause)
        self._change(workers=0, restarts=(*self._now.restarts, restart)[-_MAX_RESTARTS:])

    def _hear_step(self, event: StepDone) -> None:
        record = event.record
        self._hear_score(record)
        self._change(
            step=record.step,
            steps=event.steps,
            tokens=record.tokens,
            stage=record.stage,
            context_length=record.context_length,
            skipped=record.skipped or 0,
            seconds_left=seconds_left(event, self._now.seconds_left),
        )

    def _hear_score(self, record: StepRecord) -> None:
        bits, best = record.valid_bits_per_base, self._now.best_valid_bits_per_base
        if bits is None:
            return
        self._change(valid_bits_per_base=bits)
        if best is None or bits < best:
            self._change(best_valid_bits_per_base=bits, best_valid_step=record.step)

    def _change(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of RunStatus
        """Count the time up to now, then change."""
        with self._lock:
            now = time.monotonic()
            passed, self._counted_until = now - self._counted_until, now
            wall, workers = self._now.wall_seconds + passed, self._now.worker_seconds + passed * self._now.workers
            self._now = replace(self._now, wall_seconds=wall, worker_seconds=workers, **changes)

    def write(self) -> None:
        """Write it, with a new heartbeat. Raises LeaseLostError once another driver has the run, and writes to it."""
        self._lease.confirm()
        self._change(heartbeat=utc_now())
        write_json(self._run_url, STATE, asdict(self._now))

    def _end(self, status: str, message: str) -> None:
        self._change(status=status, message=message, workers=0, seconds_left=None)
        with self._best_effort.trying(STATE):
            self.write()
