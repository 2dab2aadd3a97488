"""What is done every few seconds beside training: renewing a lease, writing the run's state, uploading its metrics."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hdna.run.best_effort import BestEffort

_LAST_CALL_S = 10.0
"""How long the end of a run waits for a call that is still going, to a bucket that does not answer."""


@contextmanager
def repeated(
    action: Callable[[], None], pause_s: Callable[[], float], what: str, best_effort: BestEffort
) -> Iterator[None]:
    """Within this block, call `action` from another thread, again and again with pauses; `what` names its failures."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(pause_s()):
            with best_effort.trying(what):
                action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_LAST_CALL_S)
