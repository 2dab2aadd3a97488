"""The runs below a folder or bucket, each by its state.json alone: however many objects the runs have, they are not
listed, nor are shard sets and genome stores looked into.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from hdna import storage
from hdna.run.files import RECIPE
from hdna.run.status import DONE, RUNNING, RunStatus, read_status
from hdna.run.utc import seconds_since
from hdna.storage.manifest import MANIFEST

_AT_ONCE = 16
"""Requests to a bucket."""
LOST, UNKNOWN = "lost", "unknown"
"""What a run's state.json does not say itself: that its driver is gone; and there is none that can be read."""
_FIRST = (RUNNING, LOST)
"""Before all others, among which only age counts."""


@dataclass(frozen=True)
class Run:
    """A run as it was last heard of."""

    url: str
    name: str
    """Its path below what was asked for."""
    state: RunStatus | None

    @property
    def status(self) -> str:
        """running, done, stopped or failed; lost if it says running but is silent; or unknown."""
        if self.state is None:
            return UNKNOWN
        return LOST if self.state.is_lost else self.state.status

    @property
    def silent_seconds(self) -> float | None:
        """Since its driver wrote last."""
        return seconds_since(self.state.heartbeat) if self.state else None

    @property
    def share(self) -> float | None:
        """Of its tokens seen, from 0 to 1; every step has as many."""
        if self.state is None or not self.state.steps:
            return None
        return self.state.step / self.state.steps

    @property
    def seconds_left(self) -> float | None:
        """At the pace of its last steps, for a run that goes on."""
        if self.state is None or self.status != RUNNING:
            return 0.0 if self.status == DONE else None
        return self.state.seconds_left


def runs_below(url: str) -> list[Run]:
    """Those that go on first, then lost ones; each group, and the others after them, the newest first.

    Raises InputError when a local folder is missing.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        names = list(_found(url, threads))
        states = threads.map(lambda name: read_status(_join(url, name)), names)
        runs = [Run(_join(url, name), name or url, state) for name, state in zip(names, states, strict=True)]
    return sorted(runs, key=_rank)


def _found(url: str, threads: ThreadPoolExecutor) -> Iterator[str]:
    """Paths below `url` of the folders that are runs, level by level."""
    level = [""]
    while level:
        listed = list(threads.map(lambda folder: storage.list_level(_join(url, folder)), level))
        yield from (folder for folder, (names, _) in zip(level, listed, strict=True) if RECIPE in names)
        below = (
            [f"{folder}/{child}".lstrip("/") for child in folders if not child.startswith(".")]
            for folder, (names, folders) in zip(level, listed, strict=True)
            if RECIPE not in names and MANIFEST not in names
        )
        level = list(chain.from_iterable(below))


def _join(url: str, name: str) -> str:
    return storage.join(url, name) if name else url


def _rank(run: Run) -> tuple[int, float, str]:
    place = _FIRST.index(run.status) if run.status in _FIRST else len(_FIRST)
    silent = run.silent_seconds
    return place, float("inf") if silent is None else silent, run.name
