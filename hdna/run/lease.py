"""Who trains a run: one driver at a time, on whatever host, told by an object that it renews.

`RUN/lease/000007.json` is put only if absent: of two drivers one gets the number. Its holder rewrites it every few
seconds, and whoever wants the run watches whether it still changes, so that no clock is compared with another. A run
whose lease has not changed for LEASE_S belongs to whoever puts the next number.

The number is a fence: a worker group looks for a higher one right before it commits a checkpoint. What it had written
by then is removed by the next holder, so that even a group that was stopped between look and commit commits nothing
whole.
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from hdna import storage
from hdna.errors import InputError
from hdna.run.best_effort import BestEffort
from hdna.run.events import Report
from hdna.run.holder import Holder
from hdna.run.repeated import repeated
from hdna.storage.untrusted_json import Count, parse_json

FOLDER = "lease"
"""Below the run's URL."""
RENEW_S = 3.0
LEASE_S = 10.0
"""Three renewals, so that one may fail or be late."""
_LOOK_S = 0.5
_NAME = re.compile(r"(\d{6,18})\.json")


class LeaseLostError(InputError):
    """Another driver has taken the run over."""


@dataclass(frozen=True)
class _Record:
    """The content of a lease object."""

    holder: Holder
    key: str
    """Random: no two drivers write the same bytes."""
    renewals: Count = 0
    released: bool = False

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


@dataclass(frozen=True)
class _Seen:
    """A run's newest lease as it was read."""

    number: int
    """0 if the run was never held."""
    data: bytes = b""

    @classmethod
    def newest(cls, run_url: str) -> "_Seen":
        number = _newest_number(run_url)
        try:
            return cls(number, storage.read(_url(run_url, number)) if number else b"")
        except FileNotFoundError:  # its holder has just gone on to the next number
            return cls(number)

    @property
    def holder(self) -> Holder | None:
        """None if the object is damaged: whether it changes still tells."""
        record = self._record
        return record.holder if record else None

    @property
    def is_free(self) -> bool:
        """Whether nobody can be holding it."""
        if not self.number:
            return True
        record = self._record
        return record is not None and (record.released or record.holder.is_gone)

    @property
    def _record(self) -> _Record | None:
        try:
            return parse_json(self.data, _Record, "lease", "whether it changes tells")
        except InputError:
            return None

    def __str__(self) -> str:
        return str(self.holder or "another driver")


@dataclass(frozen=True)
class Fence:
    """Tells the commits of a run's present worker group from those of earlier ones."""

    run_url: str
    number: int

    def check(self) -> None:
        """Raise LeaseLostError when another driver, or a later worker group, has the run."""
        if _newest_number(self.run_url) > self.number:
            raise LeaseLostError(
                f"{self.run_url}: {_Seen.newest(self.run_url)} has taken this run over, as this one had not renewed "
                f"its lease for {LEASE_S:g} s: nothing more is saved from here"
            )


def last_lease(run_url: str, report: Report) -> int:
    """The number of the run's last lease, which nobody holds any more; 0 if there was none.

    Watches for up to LEASE_S whether it is still renewed. Raises InputError when it is, and when the run's place may
    not be written to or would let two drivers have the same number.
    """
    first = seen = _Seen.newest(run_url)
    if not first.is_free:
        seen = _watched(run_url, first, report)
    storage.require_conditional_put(run_url)
    return seen.number


def _watched(run_url: str, first: _Seen, report: Report) -> _Seen:
    """The newest lease once it is free. Raises InputError when it is renewed."""
    seen = first
    report(f"{run_url}: {first} was training this run: looking for {LEASE_S:g} s whether it still is ...")
    end = time.monotonic() + LEASE_S
    while time.monotonic() < end:
        time.sleep(_LOOK_S)
        seen = _Seen.newest(run_url)
        if seen.is_free:
            break
        if seen != first:
            raise _held(run_url, seen)
    return seen


class Lease:
    """A run that this process holds, until it releases it or stops renewing."""

    def __init__(self, run_url: str, last: int) -> None:
        """Take the number after `last`. Raises InputError when another driver has just done so."""
        self._run_url = run_url
        self._number = last
        self._record = _Record(Holder.this_process(), secrets.token_hex(8))
        self._lock = threading.Lock()
        self._lost: InputError | None = None
        self._sure_until = 0.0
        self.next_fence()

    def next_fence(self) -> Fence:
        """A fence that shuts out every worker group before it. Raises InputError when the run was taken over."""
        began = _seconds()
        with self._lock:
            if not storage.write_if_absent(_url(self._run_url, self._number + 1), self._record.to_bytes()):
                raise _held(self._run_url, _Seen.newest(self._run_url))
            self._number += 1
        self._sure_until = began + LEASE_S
        older = [_path(number) for number in _numbers(self._run_url) if number < self._number]
        storage.delete(self._run_url, older)
        return self.fence

    @property
    def holder(self) -> Holder:
        """The process that has it."""
        return self._record.holder

    @property
    def fence(self) -> Fence:
        """The newest of this lease's fences."""
        return Fence(self._run_url, self._number)

    def check(self) -> None:
        """Raise InputError when a renewal has found that another driver has the run."""
        if self._lost:
            raise self._lost

    def confirm(self) -> None:
        """Raise LeaseLostError when another driver has the run. Asks nobody for LEASE_S after a renewal.

        As long, no other driver can have seen the lease stand still: whoever woke from a pause asks.
        """
        if _seconds() >= self._sure_until:
            self.fence.check()

    @contextmanager
    def renewed(self, best_effort: BestEffort) -> Iterator[None]:
        """Renew it within this block, and release it at the end."""
        try:
            with repeated(self._renew, lambda: RENEW_S, "renewal of the lease", best_effort):
                yield
        finally:
            with best_effort.trying("release of the lease"):
                self._write(released=True)

    def _renew(self) -> None:
        if self._lost:
            return
        began = _seconds()
        self._write(released=False)
        try:
            self.fence.check()
            self._sure_until = began + LEASE_S
        except LeaseLostError as error:
            self._lost = error

    def _write(self, released: bool) -> None:
        """Nobody else writes to this number."""
        with self._lock:
            self._record = replace(self._record, renewals=self._record.renewals + 1, released=released)
            storage.write(_url(self._run_url, self._number), self._record.to_bytes())


def is_lease(name: str) -> bool:
    """Whether an object below a run's URL, by its path there, belongs to its lease."""
    return name.startswith(f"{FOLDER}/")


def _held(run_url: str, seen: _Seen) -> InputError:
    since = f" since {seen.holder.since}" if seen.holder else ""
    return InputError(
        f"{run_url}: {seen} has been training this run{since}: wait for it, stop it first, or choose another run.url"
    )


def _seconds() -> float:
    """By a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _newest_number(run_url: str) -> int:
    return max(_numbers(run_url), default=0)


def _numbers(run_url: str) -> list[int]:
    names = map(_NAME.fullmatch, storage.list_objects(storage.join(run_url, FOLDER)))
    return [int(name[1]) for name in names if name]


def _url(run_url: str, number: int) -> str:
    return storage.join(run_url, _path(number))


def _path(number: int) -> str:
    return f"{FOLDER}/{number:06d}.json"
