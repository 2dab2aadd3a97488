"""A run's curves in Weights & Biases or MLflow, taken from its metrics.jsonl by a thread of their own.

Training only appends to that file. A tracker gets what it does not have yet, whenever it can be reached: after an
outage or a kill it has every step, and each once.
"""

import os
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from hdna.config.schema import Tracker
from hdna.errors import InputError, without_secrets
from hdna.run.best_effort import BestEffort
from hdna.run.files import TRACKED_AS, read_json, write_json
from hdna.run.lease import Fence
from hdna.run.status import DONE
from hdna.run.step_record import StepRecord

DEFAULT_PROJECT = "hdna"
LAST_CALL_S = 30.0
"""How long the end of a run waits for a tracker."""
_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0
"""Between looks at the file; a tracker that fails is asked half as often each time."""
_BYTES = 1 << 14
"""Of the file at a time: some 25 lines, whose curves are one request to MLflow."""
_PACKAGES = {"wandb": "wandb", "mlflow": "mlflow-skinny"}
"""A full `mlflow` installs its client as mlflow-skinny too."""
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run."""

    id: str
    """The same after a resume."""
    name: str
    project: str | None
    """None: the tracker's own environment variable says."""
    settings: Mapping[str, Any]
    """The recipe's, by dotted key."""
    folder: Path
    """For the tracker's own files."""


class Tracked(Protocol):
    """A run in one tracker; made, it is begun or goes on there. Whatever it calls may raise or block."""

    @property
    def where(self) -> str:
        """Where the user finds it."""
        ...

    def log(self, records: Sequence[StepRecord]) -> None:
        """Send the curves of these steps, in order, except those that the tracker has."""
        ...

    def end(self, status: str) -> None:
        """Send what is left. `status`: done, stopped or failed, as in state.json."""
        ...


def refuse_missing(trackers: Sequence[Tracker]) -> None:
    """Raise InputError when a tracker's package is not installed, or nothing says where MLflow's server is."""
    for name in trackers:
        try:
            metadata.version(_PACKAGES[name])
        except metadata.PackageNotFoundError:
            raise InputError(f"run.trackers: {name} is not installed here: pip install 'hdna[{name}]'") from None
    if "mlflow" in trackers and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise InputError(
            "run.trackers: mlflow: MLFLOW_TRACKING_URI is not set: give it the server's URL, as in http://host:5000"
        )


def identity(run_url: str) -> str:
    """The run's id in trackers: drawn once, then kept in its tracked_as.json, however often it is resumed."""
    known = read_json(run_url, TRACKED_AS).get("id")
    if not isinstance(known, str) or not _ID.fullmatch(known):
        known = secrets.token_hex(8)
        write_json(run_url, TRACKED_AS, {"id": known})
    return known


class Feed:
    """Keeps one tracker up to date with a run's metrics.jsonl, from another thread, until the run ends."""

    def __init__(
        self, name: Tracker, run: TrackedRun, record: Path, best_effort: BestEffort, fence: Fence | None
    ) -> None:
        """Begin. `record`: the local metrics.jsonl, with the steps that the run resumes after."""
        self._name, self._run, self._record = name, run, record
        self._best_effort, self._fence = best_effort, fence
        self._tracked: Tracked | None = None
        self._where = ""
        self._sent, self._pause_s = 0, _PAUSE_S
        self._ending, self._status = threading.Event(), DONE
        self._thread = threading.Thread(target=self._keep_up, daemon=True)
        self._thread.start()

    def end(self, status: str) -> None:
        """Nothing more comes: send the rest, and say how the run ended. Returns at once."""
        self._status = status
        self._ending.set()

    def wait(self) -> None:
        """Wait for that, LAST_CALL_S at most."""
        self._thread.join(LAST_CALL_S)
        if self._thread.is_alive():
            error = InputError(f"has not taken the last steps within {LAST_CALL_S:g} s")
            self._best_effort.failed(self._name, error)

    def _keep_up(self) -> None:
        self._send()
        while not self._ending.wait(self._pause_s):
            self._send()
        if self._send() and self._tracked:
            with self._best_effort.trying(self._name):
                self._tracked.end(self._status)

    def _send(self) -> bool:
        """Send what the file has gained; whether that went well. After a failure all is offered again, later."""
        try:
            if self._fence:
                self._fence.check()
            if not self._tracked:
                self._tracked = _begun(self._name, self._run)
                self._say(self._tracked.where)
            while lines := self._unsent():
                records = (StepRecord.from_line(line) for line in lines)
                self._tracked.log([record for record in records if record])
                self._sent += sum(map(len, lines))
        except Exception as error:
            self._best_effort.failed(self._name, error)
            self._tracked, self._sent = None, 0
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            return False
        self._pause_s = _PAUSE_S
        return True

    def _say(self, where: str) -> None:
        """Where the user finds the run, unless that is known."""
        if where != self._where:
            self._where = where
            self._best_effort.report(without_secrets(f"{self._name}: {where}"))

    def _unsent(self) -> list[bytes]:
        """The next whole lines."""
        with self._record.open("rb") as file:
            file.seek(self._sent)
            return [line for line in file.readlines(_BYTES) if line.endswith(b"\n")]


def _begun(name: Tracker, run: TrackedRun) -> Tracked:
    if name == "wandb":
        from hdna.run.wandb_run import WandbRun

        return WandbRun(run)
    from hdna.run.mlflow_run import MlflowRun

    return MlflowRun(run)
