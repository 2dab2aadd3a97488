"""The end of a run by signal: Ctrl-C or SIGTERM once asks for a last checkpoint, a second time ends it at once."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hdna.run.events import Report

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether the user has asked a run to stop, and until when it may take to save."""

    def __init__(self, grace_s: float, report: Report) -> None:
        self._grace_s = grace_s
        self._report = report
        self._deadline: float | None = None
        self._announced = False

    @property
    def asked(self) -> bool:
        """Whether the workers should save and end."""
        return self._deadline is not None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals as requests within this block; in the main thread, after `ray.init`, which sets its own handler.

        A handler that raised at the first signal would interrupt Ray's calls in other threads too.
        """
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """Say once that a request has come. Raises KeyboardInterrupt when the time to save is over."""
        if self._deadline is None:
            return
        if not self._announced:
            self._announced = True
            self._report("stopping after this step and a last checkpoint; interrupt again to end at once")
        if time.monotonic() > self._deadline:
            self._report(f"no last checkpoint within checkpoint.grace_s={self._grace_s:g}: ending without it")
            raise KeyboardInterrupt

    def _on_signal(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self._deadline = time.monotonic() + self._grace_s
