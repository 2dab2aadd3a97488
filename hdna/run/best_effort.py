"""What a run can do without: progress, plots, clearing up. It may fail; that is said and counted, and training goes on.

A checkpoint is nothing of the kind: a save that fails ends the run.
"""

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hdna.errors import InputError, without_secrets
from hdna.run.events import Event, Report
from hdna.storage.os_errors import explain

_MAX_CHARACTERS = 300


class BestEffort:
    """Reports the first failure of each kind, and counts them all."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._failures: Counter[str] = Counter()

    def report(self, event: Event) -> None:
        """Pass an event on, to a terminal that may be gone."""
        with self.trying("progress"):
            self._report(event)

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Go on after this block if it fails; `what` begins the line that says so."""
        try:
            yield
        except Exception as error:
            self.failed(what, error)

    def failed(self, what: str, error: Exception) -> None:
        """Count a failure of `what`, and report the first."""
        self._failures[what] += 1
        if self._failures[what] > 1:
            return
        if isinstance(error, OSError) and error.errno:  # a time-out is an OSError too, without a number
            reason = explain(what, error)
        else:
            reason = f"{what}: {shortened(in_one_line(error))}"
        line = without_secrets(f"{reason}; training goes on")
        try:
            self._report(line)
        except Exception:
            logging.getLogger(__name__).warning(line)  # the worker's log

    def summary(self) -> str | None:
        """How often what failed, in one line; None if nothing did."""
        if not self._failures:
            return None
        total = self._failures.total()
        each = ", ".join(f"{what} ({times})" for what, times in self._failures.items())
        return f"{total} time{'s' if total > 1 else ''} something beside training failed: {each}"


def in_one_line(error: BaseException) -> str:
    """The type and message of an exception, as a traceback ends; an InputError's line says all by itself."""
    if isinstance(error, InputError):
        return str(error)
    return " ".join("".join(traceback.format_exception_only(error)).split())


def shortened(text: str) -> str:
    """The beginning of a message: some of Ray's and torch's fill a screen."""
    text = without_secrets(text)  # before it is cut: a password without its @ would not be known as one
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} ..."
