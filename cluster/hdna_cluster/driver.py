"""The process that holds a run: it starts worker groups, hears what they report, and tells them when to stop."""

import threading
from typing import Any

from hdna import storage
from hdna.checkpoint import list_checkpoints, remove_interrupted
from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.errors import InputError
from hdna.run.best_effort import BestEffort
from hdna.run.events import Event, WorkersStarted
from hdna.run.files import METRICS
from hdna.run.lease import Lease
from hdna.run.repeated import repeated
from hdna.run.status import StatusFile
from hdna_cluster.mailbox import Receiver, start_mailbox
from hdna_cluster.prometheus import RENEWED_EVERY_S, Gauges
from hdna_cluster.restarts import keep_going
from hdna_cluster.session import logs_folder
from hdna_cluster.stopping import StopRequest
from hdna_cluster.waiting import Waiting
from hdna_cluster.workers import fit

_PACE_S = 0.2
_GRACE_S = 5.0


class Driver:
    """One run, from its first worker group to its end."""

    def __init__(
        self,
        ray: Any,  # noqa: ANN401 - Ray has no types
        config: RunConfig,
        resources: dict[str, float],
        lease: Lease,
        status: StatusFile,
        best_effort: BestEffort,
    ) -> None:
        """`resources`: those of each worker."""
        self._ray, self._config, self._resources = ray, config, resources
        self._lease, self._status, self._best_effort = lease, status, best_effort
        self._mailbox, self._logs = start_mailbox(ray), logs_folder(ray)
        self._receive = Receiver(ray, self._mailbox)
        self._gauges = Gauges(config.run.url)
        self._stop = StopRequest(config.checkpoint.grace_s, best_effort.report)
        self._waiting = Waiting(ray, config.parallel.min_workers or config.parallel.workers, resources, self._say_wait)

    def run(self) -> None:
        """Run the workers, showing their events, until they end.

        Ray's `fit` runs in its own thread: in the main thread it would handle Ctrl-C itself and end the process.

        Raises KeyboardInterrupt when it was told to stop, InputError when the run failed or another driver took it
        over.
        """
        failures: list[BaseException] = []
        training = threading.Thread(target=self._train, args=(failures,), daemon=True)
        renewing = repeated(self._gauges.renew, lambda: RENEWED_EVERY_S, "Prometheus", self._best_effort)
        training.start()
        try:
            with self._stop.listening(), renewing:
                while training.is_alive():
                    training.join(_PACE_S)
                    self._stop.check()
                    self._lease.check()
                    self._waiting.check()
                    self._hear_all(training)
                self._hear_all(training)
        except KeyboardInterrupt:
            self._ray.shutdown()  # ends the workers; what they committed stays
            raise
        if failures:
            raise failures[0]
        if self._stop.asked and not self._is_finished():
            raise KeyboardInterrupt

    def _train(self, failures: list[BaseException]) -> None:
        try:
            keep_going(self._attempt, self._config.run.url, self._on_loss, lambda: self._stop.asked)
        except BaseException as error:
            failures.append(error)

    def _attempt(self) -> None:
        """Train with one worker group, after which no earlier one can commit."""
        fence = self._lease.next_fence()
        remove_interrupted(self._config.run.url)
        fit(self._config, self._resources, fence, self._mailbox, self._logs)

    def _on_loss(self, cause: str) -> None:
        self._best_effort.report(f"{cause}: going on from the newest checkpoint")
        self._status.lost(cause)
        self._waiting.begin()
        with self._best_effort.trying("Prometheus"):
            self._gauges.lost()

    def _hear_all(self, training: threading.Thread) -> None:
        """Take the events that have arrived, and tell the workers whether to stop."""
        try:
            events = self._receive(self._stop.asked)
        except InputError as error:
            training.join(_GRACE_S)
            if training.is_alive():  # else what ended the actor has ended the run too, which says so itself
                metrics = storage.join(self._config.run.url, METRICS)
                self._best_effort.failed("progress", InputError(f"{error}; {metrics} has all of it"))
            return
        for event in events:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        self._best_effort.report(event)
        self._status.hear(event)
        if isinstance(event, WorkersStarted):
            self._waiting.end()
        with self._best_effort.trying("Prometheus"):
            self._gauges.hear(event)

    def _say_wait(self, text: str) -> None:
        self._best_effort.report(text)
        self._status.waits(text)

    def _is_finished(self) -> bool:
        """Whether the last step was done before the run was to stop."""
        return any(ref.step == Curriculum.of(self._config).steps for ref in list_checkpoints(self._config.run.url))
