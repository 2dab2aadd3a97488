"""How far a long piece of work is: a bar on a terminal, a plain line every few seconds in a job log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 5.0

Advance = Callable[[float], None]
"""Says that so many more units are done."""


@contextmanager
def progress(total: float | None, what: str, unit: str) -> Iterator[Advance]:
    """Show on stderr how much of `total` (in `unit`, None when unknown) of the work `what` is done.

    Gives a function to call with the units done since the last call. Work that ends within a few seconds prints no
    plain line at all.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, total, what, unit) as advance:
            yield advance
    else:
        yield _lines(total, what, unit)


@contextmanager
def _bar(console: Console, total: float | None, what: str, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total, amount="")
        done = 0.0

        def advance(units: float) -> None:
            nonlocal done
            done += units
            bar.update(task, completed=done, amount=_amount(done, total, unit))

        yield advance


def _lines(total: float | None, what: str, unit: str) -> Advance:
    done = 0.0
    started = last = time.monotonic()

    def advance(units: float) -> None:
        nonlocal done, last
        done += units
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            sys.stderr.write(f"{what}: {_amount(done, total, unit)}, {now - started:.0f} s\n")
            sys.stderr.flush()

    return advance


def _amount(done: float, total: float | None, unit: str) -> str:
    if not total:
        return f"{done:,.0f} {unit}"
    return f"{done:,.0f} of {total:,.0f} {unit} ({100 * done / total:.0f} %)"
