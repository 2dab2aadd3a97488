"""Which process holds something, told apart from every other one: also from a later process with the same number."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from hdna.run.utc import utc_now

_PROC = Path("/proc")
_ZOMBIE = (b"Z", b"X")
_STATE, _START_TIME = 0, 19
"""Fields of /proc/PID/stat after the command's name: proc_pid_stat(5) counts them from 3."""


@dataclass(frozen=True)
class Holder:
    """A process somewhere."""

    host: str
    pid: int
    since: str
    """UTC, by its host's clock: for people, never compared."""
    boot: str = ""
    """The boot of its kernel and its namespace of process numbers; empty where the system does not tell."""
    start_time: str = ""
    """Of the process, in ticks of that boot."""

    @classmethod
    def this_process(cls) -> "Holder":
        """The process that calls, holding from now on."""
        status = _status("self")
        start_time = status[_START_TIME].decode() if status else ""
        return cls(socket.gethostname(), os.getpid(), utc_now(), _boot(), start_time)

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended, a zombie included; on another machine or in another container none has."""
        if not self.boot or self.boot != _boot():
            return False
        status = _status(str(self.pid))
        return status is None or status[_STATE] in _ZOMBIE or status[_START_TIME].decode() != self.start_time

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path(_PROC, 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _status(process: str) -> list[bytes] | None:
    """The process's state and what follows in its stat file; None if there is no such process."""
    try:
        return (_PROC / process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
