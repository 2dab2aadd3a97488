"""Progress of long operations, on stderr: a bar on a terminal, a line every few seconds in a job log."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_SECONDS_BETWEEN_LINES = 5.0

Advance = Callable[[float], None]
"""Called with the number of units done since the last call."""
Show = Callable[[float | None, str, str], AbstractContextManager[Advance]]
"""`progress`, or what shows it elsewhere."""


class Progress:
    """An operation's progress in a line of text; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", visible=False)
        self._last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:  # else rich would print an empty line
            self._bar.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without the bar, for a question."""
        self._bar.stop()
        try:
            yield
        finally:
            if self._console.is_terminal:
                self._bar.start()

    def print(self, text: str) -> None:
        """Print text that stays, above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, done: float, total: float | None, line: str, keep: bool = False) -> None:
        """Show `line` and a bar at `done` of `total` (None: unknown); with `keep` the line stays.

        Without a terminal, a line is printed every few seconds, and every line with `keep`.
        """
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, description=line, visible=True)
            if keep:
                self.print(line)
        elif keep or time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.print(line)


@contextmanager
def progress(total: float | None, what: str, unit: str) -> Iterator[Advance]:
    """Show how much of `total` (in `unit`, None when unknown) of the operation `what` is done.

    Yields a function to call with the units done since the last call. An operation that ends within a few seconds
    prints nothing.
    """
    done, started = 0.0, time.monotonic()
    with Progress() as display:

        def advance(units: float) -> None:
            nonlocal done
            done += units
            display.update(done, total, f"{what}: {_amount(done, total, unit)}, {time.monotonic() - started:.0f} s")

        yield advance


@contextmanager
def told_progress(tell: Callable[[str], None], total: float | None, what: str, unit: str) -> Iterator[Advance]:
    """The same as lines for `tell`, one every few seconds: of a process that has no terminal."""
    done, last = 0.0, time.monotonic()

    def advance(units: float) -> None:
        nonlocal done, last
        done += units
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            tell(f"{what}: {_amount(done, total, unit)}")

    yield advance


def _amount(done: float, total: float | None, unit: str) -> str:
    if not total:
        return f"{done:,.0f} {unit}"
    return f"{done:,.0f} of {total:,.0f} {unit} ({100 * done / total:.0f} %)"
