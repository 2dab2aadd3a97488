"""Progress of long operations, on stderr: a bar on a terminal, a line every few seconds in a job log."""

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

_SECONDS_BETWEEN_LINES = 5.0
_BAR_COLUMNS = 12
"""The rest of 80 columns is for the words."""

Advance = Callable[[float], None]
"""Called with the number of units done since the last call."""
Show = Callable[[float | None, str, str], AbstractContextManager[Advance]]
"""`progress`, or what shows it elsewhere."""


class Progress:
    """An operation's progress in a line of text; a context manager."""

    def __init__(self) -> None:
        # Jupyter and some CI set FORCE_COLOR, of which rich makes a terminal: a bar in a log is a line for each frame.
        self._console = Console(stderr=True, force_terminal=sys.stderr.isatty())
        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(_BAR_COLUMNS),
            _Clock(),
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
        """Print text that stays, above the bar; on a terminal, lines too long for it are folded between words."""
        if self._console.is_terminal:
            text = "\n".join(_folded(line, self._console.width) for line in text.splitlines())
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def begin(self, what: str, line: str) -> None:
        """Show that `what` goes on from now on, nobody knows for how long: a spinner and the seconds since.

        Without a terminal, the line is printed.
        """
        if self._console.is_terminal:
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=None)
        else:
            self._last_line = time.monotonic()
            self.print(line)

    def update(self, done: float, total: float | None, beside: str, line: str, keep: bool = False) -> None:
        """Show a bar at `done` of `total` (None: unknown), with `beside` next to it; with `keep` the line stays.

        Without a terminal, the line is printed every few seconds, and every line with `keep`.
        """
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, description=beside, visible=True)
            if keep:
                self.print(line)
        elif keep or time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.print(line)


def _folded(line: str, width: int) -> str:
    """The line in several, all but the first indented; a long URL stays whole."""
    indent = " " * 8
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


class _Clock(TimeRemainingColumn):
    """The time left; where the end is not known, the time since the beginning."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{task.elapsed or 0:.0f} s", style="progress.elapsed")
        return super().render(task)


@contextmanager
def progress(total: float | None, what: str, unit: str) -> Iterator[Advance]:
    """Show how much of `total` (in `unit`, None when unknown) of the operation `what` is done.

    Yields a function to call with the units done since the last call. The amount is shown from the beginning on a
    terminal; in a log, a line every few seconds has it with the time taken and the time left, and an operation that
    ends sooner prints nothing.
    """
    done, started = 0.0, time.monotonic()
    with Progress() as display:

        def advance(units: float) -> None:
            nonlocal done
            done += units
            amount, taken = f"{what}: {_amount(done, total, unit)}", time.monotonic() - started
            left = f", {taken * (total / done - 1):.0f} s left" if total and 0 < done <= total else ""
            display.update(done, total, amount, f"{amount}, {taken:.0f} s{left}")

        advance(0)
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
