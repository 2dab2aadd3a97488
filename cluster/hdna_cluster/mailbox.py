"""Events on their way from rank 0 to the driver, through a small actor. Neither end ever waits for the other.

Rank 0 sends without waiting for an answer. The driver asks several times a second, and ends when the workers have
ended, never because of an event. When the actor dies, some events are lost, and Ray starts it again. The answers to
rank 0's events carry the one message of the other direction: that the run should stop.
"""

import threading
from collections import deque
from contextlib import suppress
from typing import Any

from hdna.errors import InputError
from hdna.run.events import Event

CAPACITY = 1000
"""Events the actor keeps: a terminal that takes no output (paused, or a pipe nobody reads) must not fill memory."""
_FLUSH_S = 10.0
_ANSWER_S = 5.0


class Mailbox:
    """The actor. Of more than CAPACITY events the oldest are lost: the newest say where the run is."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=CAPACITY)
        self._lost = 0
        self._stop = False

    def put(self, event: Event) -> bool:
        """Keep an event until it is taken; return whether the run should stop."""
        self._lost += len(self._events) == CAPACITY
        self._events.append(event)
        return self._stop

    def take(self, stop: bool) -> tuple[list[Event], int]:
        """The events since the last call, in order, and how many were lost before them; `stop` is for rank 0."""
        self._stop = stop
        taken = list(self._events), self._lost
        self._events.clear()
        self._lost = 0
        return taken


def start_mailbox(ray: Any) -> Any:  # noqa: ANN401 - Ray has no types
    """The actor, on the driver's node: it lives exactly as long as what it serves."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_pending_calls": CAPACITY, "scheduling_strategy": here}
    return ray.remote(Mailbox).options(**options).remote()


class Sender:
    """Rank 0's end: sends events, and raises what has become of those that were lost."""

    def __init__(self, mailbox: Any) -> None:  # noqa: ANN401
        self._mailbox = mailbox
        self._sent: list[Any] = []
        self._stop = False
        self._lock = threading.Lock()

    def should_stop(self) -> bool:
        """Whether the driver has asked the run to stop; known a step or two after it has."""
        return self._stop

    def __call__(self, event: Event) -> None:
        """Send an event, from any thread.

        Raises a RayError when too many wait for an actor out of reach, or an earlier one was lost.
        """
        import ray

        with self._lock:
            arrived = self._arrived(0)
            # Sent again if the actor dies meanwhile, so that only what it had already received can be lost.
            self._sent.append(self._mailbox.put.options(max_task_retries=-1).remote(event))
            self._stop |= any(ray.get(arrived))

    def flush(self) -> None:
        """Wait some seconds for the last events to arrive: they would be lost with this process."""
        from ray.exceptions import RayError

        with suppress(RayError), self._lock:
            self._arrived(_FLUSH_S)

    def _arrived(self, wait_s: float) -> list[Any]:
        """The answers to events sent, no longer waited for; an answer may be an error."""
        import ray

        if not self._sent:
            return []
        arrived, self._sent = ray.wait(self._sent, num_returns=len(self._sent), timeout=wait_s)
        return list(arrived)


class Receiver:
    """The driver's end: called again and again, it returns what has arrived."""

    def __init__(self, ray: Any, mailbox: Any) -> None:  # noqa: ANN401
        self._ray = ray
        self._mailbox = mailbox

    def __call__(self, stop: bool) -> list[Event]:
        """The events since the last call; `stop` asks the run to stop.

        Raises InputError when the actor is gone; some events are then lost.
        """
        try:
            events, lost = self._ray.get(self._mailbox.take.remote(stop), timeout=_ANSWER_S)
        except self._ray.exceptions.RayError:
            raise InputError("some may be missing here: the actor that passes it on was lost") from None
        gap = [f"{lost:,} lines are not shown: the terminal took none for a while"] if lost else []
        return [*gap, *events]
