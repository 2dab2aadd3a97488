"""The wall clock of processes that a test starts, set while they run; `tests/support/clock/` is what they load."""

import os
from pathlib import Path

from support.fork_server import TESTS

_FOLDER = TESTS / "support/clock"


def with_clock(file: Path, environment: dict[str, str]) -> dict[str, str]:
    """That environment, and in it a clock that is ahead by as many seconds as `file` says, once there is one."""
    path = filter(None, [str(_FOLDER), environment.get("PYTHONPATH")])
    return {**environment, "HDNA_TEST_CLOCK": str(file), "PYTHONPATH": os.pathsep.join(path)}


def set_clock(file: Path, ahead_s: int) -> None:
    """At once, for all processes with that clock."""
    new = file.with_suffix(".new")
    new.write_text(str(ahead_s))
    new.rename(file)
