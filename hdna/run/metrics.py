"""A run's metrics during training: metrics.jsonl, TensorBoard events, trackers, and copies in a bucket."""

import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hdna import storage
from hdna.config.schema import Tracker
from hdna.run.best_effort import BestEffort
from hdna.run.board import Board
from hdna.run.files import METRICS, TRACKED_AS, read_metrics_lines
from hdna.run.lease import Fence
from hdna.run.repeated import repeated
from hdna.run.status import DONE
from hdna.run.step_record import StepRecord
from hdna.run.tracking import Feed, TrackedRun, identity
from hdna.storage.os_errors import os_errors_explained

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
_TENSORBOARD = "tensorboard"
_PUBLISHED_EVERY_S = 30.0
_BYTES_PER_S = 1e6
"""At most, on average: after a month the file is uploaded less often."""


class Metrics:
    """Appends one line per step to RUN/metrics.jsonl, and the same numbers to RUN/tensorboard.

    Objects in a bucket cannot be appended to: there the files grow in a scratch directory, and are uploaded whole from
    another thread, every half minute and before each checkpoint.

    Once begun, nothing here ends a run: it resumes from its checkpoints, and a lost line is a gap in a plot.
    """

    def __init__(
        self,
        run_url: str,
        resumed_step: int,
        best_effort: BestEffort,
        fence: Fence | None = None,
        settings: Mapping[str, Any] = NO_SETTINGS,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        """Begin after the step that the run resumes from.

        `fence`: keeps a worker group that another has replaced from writing over what that one uploads.
        `settings`: the recipe's, by dotted key, which TensorBoard and trackers compare runs by.
        `trackers`: who follows metrics.jsonl, each by a thread of its own.
        """
        self._url, self._fence = run_url, fence
        self._best_effort = best_effort
        self._remote = not storage.is_local(run_url)
        self._scratch = tempfile.TemporaryDirectory(prefix="hdna-metrics-") if self._remote else None
        self._folder = Path(self._scratch.name) if self._scratch else storage.local_path(run_url)
        path = self._folder / METRICS
        storage.write(str(path), b"".join(_lines_up_to(run_url, resumed_step)))
        with os_errors_explained(path):
            # Buffered: what a full disk refuses is kept, whole lines of it, and written once there is space again.
            self._file = path.open("ab")
        self._board = Board(self._folder / _TENSORBOARD, settings)
        self._feeds: list[Feed] = []
        if trackers:
            with best_effort.trying(self._name(TRACKED_AS)):
                name = run_url.rstrip("/").rpartition("/")[2]
                run = TrackedRun(identity(run_url), name, settings.get("run.project"), settings, self._folder)
                self._feeds = [Feed(tracker, run, path, best_effort, fence) for tracker in dict.fromkeys(trackers)]
        self._publishing = threading.Lock()
        self._background = ExitStack()
        if self._remote:
            uploads = repeated(self.publish, self._pause_s, "upload of metrics", best_effort)
            self._background.enter_context(uploads)

    def log(self, record: StepRecord) -> None:
        """Record one step."""
        with self._best_effort.trying(self._name(METRICS)):
            self._file.write(record.to_line())
            self._file.flush()
        with self._best_effort.trying(self._name(_TENSORBOARD)):
            self._board.log(record)

    def publish(self) -> None:
        """Copy the files to the run's bucket, if it is in one; the next call makes up for one that failed.

        From any thread.
        """
        with self._publishing:
            with self._best_effort.trying(self._name(_TENSORBOARD)):
                self._board.flush()
            for path in self._files() if self._remote and self._is_ours() else []:
                name = path.relative_to(self._folder).as_posix()
                with self._best_effort.trying("upload of metrics"):
                    storage.write(storage.join(self._url, name), path.read_bytes())

    def end_tracking(self, status: str) -> None:
        """Bring trackers up to date and tell them how the run ended: done, stopped or failed."""
        for feed in self._feeds:
            feed.end(status)
        for feed in self._feeds:
            feed.wait()
        self._feeds = []

    def close(self, status: str = DONE) -> None:
        """End with this status: close the files and publish them."""
        self._background.close()
        with self._best_effort.trying(self._name(_TENSORBOARD)):
            self._board.close()
        with self._best_effort.trying(self._name(METRICS)):
            self._file.close()
        self.end_tracking(status)
        self.publish()
        if self._scratch:
            with self._best_effort.trying(self._scratch.name):
                self._scratch.cleanup()

    def _is_ours(self) -> bool:
        """Whether no later worker group has the run, as far as can be told."""
        with self._best_effort.trying("upload of metrics"):
            if self._fence:
                self._fence.check()
            return True
        return False

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.rglob("*") if path.is_file() and not path.is_symlink())

    def _pause_s(self) -> float:
        return max(_PUBLISHED_EVERY_S, sum(path.stat().st_size for path in self._files()) / _BYTES_PER_S)

    def _name(self, file: str) -> str:
        """Where the user finds the file."""
        return storage.join(self._url, file)


def _lines_up_to(run_url: str, step: int) -> list[bytes]:
    """Lines up to the checkpoint that the run resumes from; later steps will be repeated and logged again."""
    parsed = ((line, StepRecord.from_line(line)) for line in read_metrics_lines(run_url))
    return [line for line, record in parsed if record is not None and record.step <= step]
