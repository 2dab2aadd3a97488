"""How much of the work at hand is done: tasks add to a count, in whatever process of this machine, and a bar follows.

A result would come too late: a shard's is there when its 64 Mi bases are written.
"""

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

from hdna.progress import Advance

_SECONDS = 0.2
_count: "Synchronized[int] | None" = None


def shared_count() -> "Synchronized[int]":
    """The count of this process, for `use_count` in its workers."""
    global _count
    if _count is None:
        _count = multiprocessing.get_context("spawn").Value("q", 0)
    return _count


def use_count(count: "Synchronized[int]") -> None:
    """In a worker: count with the process that started it."""
    global _count
    _count = count


def add(units: int) -> None:
    """In a task: so much more is done."""
    count = shared_count()
    with count.get_lock():
        count.value += units


@contextmanager
def followed(advance: Advance) -> Iterator[None]:
    """Tell `advance`, from a thread and every fifth of a second, what tasks add meanwhile."""
    count, ended = shared_count(), threading.Event()
    told = count.value

    def tell() -> None:
        nonlocal told
        now = count.value
        advance(now - told)
        told = now

    def follow() -> None:
        while not ended.wait(_SECONDS):
            tell()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        tell()
