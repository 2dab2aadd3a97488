"""Where pieces of work run: in this process, or in several processes of this machine.

`hdna_cluster.launch.ray_pool` gives one whose pieces run anywhere on a Ray cluster.
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
from typing import ParamSpec, Protocol, TypeVar

from hdna.storage.staging import InterruptedWorkError

MAX_WORKERS = 8
"""One reader of FASTA keeps no more than that busy."""

P = ParamSpec("P")
T = TypeVar("T")


class Pool(Protocol):
    """Runs functions of a module, with arguments and results that pickle."""

    workers: int
    """How many run at once."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Start `function(*args)`; what is returned waits for its result, or raises what it raised.

        Waiting raises InterruptedWorkError when a worker died.
        """


class InThisProcess:
    """No workers: each piece is done when it is submitted."""

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
    """The results of pieces of work in the order in which `started`, which submits each when asked for it, gives them.

    At most one more than there are workers waits or is worked on, so memory is bounded. After an error those still at
    work are waited for, so that nobody writes to a folder that is being removed.
    """
    at_work: deque[Callable[[], T]] = deque()
    try:
        for wait in started:
            at_work.append(wait)
            if len(at_work) > pool.workers:
                yield at_work.popleft()()
        while at_work:
            yield at_work.popleft()()
    finally:
        for wait in at_work:
            with suppress(Exception):
                wait()


@contextmanager
def processes(workers: int) -> Iterator[Pool]:
    """A pool of that many processes, which start when there is work for them; one worker is this process itself."""
    if workers == 1:
        yield InThisProcess()
        return
    # A forked child would inherit locks in unknown states from the threads of numpy and the storage library.
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker)
    try:
        yield _Processes(executor, workers)
    finally:
        executor.shutdown(cancel_futures=True)


def processors() -> int:
    """The processors this process may use, at most MAX_WORKERS: how many workers there are by default."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MAX_WORKERS)


def _begin_worker() -> None:
    """An interrupt is the parent's to handle; when the parent is killed, so that it cannot end us, we end ourselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _worker_died() -> InterruptedWorkError:
    return InterruptedWorkError(
        "a worker process died, perhaps because memory ran out: start the command again with fewer --workers"
    )
