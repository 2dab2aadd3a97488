"""What a run that has no workers yet waits for, in words: Ray Train itself waits in silence."""

import time
from collections.abc import Callable
from typing import Any

_FIRST_S = 15.0
"""Workers that have their place start within some seconds."""
_AGAIN_S = 60.0


class Waiting:
    """Says what is missing, first after some seconds, and then once a minute while it lasts."""

    def __init__(self, ray: Any, workers: int, resources: dict[str, float], say: Callable[[str], None]) -> None:  # noqa: ANN401
        """`workers`: the fewest that the run starts with, each with `resources`."""
        self._ray, self._say = ray, say
        self._kind = "GPU" if "GPU" in resources else "CPU"
        self._needed = workers * resources[self._kind]
        self._next: float | None = None
        self.begin()

    def begin(self) -> None:
        """The run has no workers from now on."""
        self._next = time.monotonic() + _FIRST_S

    def end(self) -> None:
        """It has some."""
        self._next = None

    def check(self) -> None:
        """Called again and again."""
        if self._next is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _AGAIN_S
        alive = sum(node["Resources"].get(self._kind, 0) for node in self._ray.nodes() if node["Alive"])
        free = self._ray.available_resources().get(self._kind, 0)
        self._say(what_is_missing(self._needed, alive, free, self._kind))


def what_is_missing(needed: float, alive: float, free: float, kind: str) -> str:
    """In words, `needed` processors of that kind, of those `alive` in the cluster and those `free` of them."""
    if free >= needed:
        # Ray Train counts nodes every 20 s (AutoscalingCoordinator.TICK_INTERVAL_S), and may still wait for a lost one.
        return f"waiting for workers to start on {needed:g} of {free:g} free {kind}s"
    return f"waiting for {needed:g} {kind}s: the cluster has {alive:g}, of which {free:g} are free"
