"""Pools of workers: this process, or several processes on this machine.

`hdna_cluster.pool.ray_pool` makes one whose tasks run anywhere on a Ray cluster.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized
from typing import ParamSpec, Protocol, TypeVar

from hdna.storage.staging import InterruptedWorkError
from hdna_prep.work_done import shared_count, use_count

MAX_WORKERS = 8
"""A single FASTA reader cannot keep more busy."""

P = ParamSpec("P")
T = TypeVar("T")


class Pool(Protocol):
    """Runs module-level functions with picklable arguments and results."""

    workers: int
    """How many run at once."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Start `function(*args)`; the returned function waits for its result or raises its exception.

        It raises InterruptedWorkError when a worker died.
        """


class InThisProcess:
    """No workers: each task is done when submitted."""

    workers = 1

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Run it."""
        result = function(*args, **kwargs)
        return lambda: result


class _Processes:
    def __init__(self, executor: ProcessPoolExecutor, workers: int) -> None:
        self._executor = executor
        self.workers = workers

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        try:
            future = self._executor.submit(function, *args, **kwargs)
        except BrokenProcessPool:
            raise _worker_died() from None

        def wait() -> T:
            try:
                return future.result()
            except BrokenProcessPool:
                raise _worker_died() from None

        return wait


def in_order(pool: Pool, started: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield the results of tasks in the order of `started`, an iterator that submits each task on demand.

    At most one task more than there are workers is pending, so memory is bounded. After an error, pending tasks are
    waited for, so that nobody writes to a folder being removed.
    """
    pending: deque[Callable[[], T]] = deque()
    try:
        for wait in started:
            pending.append(wait)
            if len(pending) > pool.workers:
                yield pending.popleft()()
        while pending:
            yield pending.popleft()()
    finally:
        for wait in pending:
            with suppress(Exception):
                wait()


@contextmanager
def processes(workers: int) -> Iterator[Pool]:
    """A pool of that many processes, started on demand; one worker is this process itself."""
    if workers == 1:
        yield InThisProcess()
        return
    # A forked child would inherit locks of unknown state from numpy's and the storage library's threads.
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, spawn, _begin_worker, (shared_count(),))
    try:
        yield _Processes(executor, workers)
    finally:
        executor.shutdown(cancel_futures=True)


def processors() -> int:
    """The default number of workers: the processors this process may use, at most MAX_WORKERS."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MAX_WORKERS)


def _begin_worker(count: "Synchronized[int]") -> None:
    """Count with the parent; leave interrupts to it; exit if it is killed and so cannot stop us."""
    use_count(count)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _worker_died() -> InterruptedWorkError:
    return InterruptedWorkError(
        "a worker process died, perhaps out of memory: run the command again with fewer --workers"
    )
