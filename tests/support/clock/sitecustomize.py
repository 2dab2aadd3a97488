"""A wall clock that a test sets: Python loads this at the start of each process with this folder in PYTHONPATH.

The file that HDNA_TEST_CLOCK names holds the seconds by which it is ahead; without one it is right. Ray's own servers,
which are C++, keep the machine's clock: they stand for the nodes whose clock nobody touched.
"""

import datetime
import os
import time
from pathlib import Path

_right_time = time.time


def _time() -> float:
    try:
        return _right_time() + float(Path(os.environ["HDNA_TEST_CLOCK"]).read_text() or 0)
    except FileNotFoundError:
        return _right_time()


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Datetime":
        return cls.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls) -> "_Datetime":
        return cls.fromtimestamp(_time(), datetime.UTC).replace(tzinfo=None)


_Datetime.__name__ = _Datetime.__qualname__ = "datetime"  # pickles name it so
_Datetime.__module__ = "datetime"
time.time = _time
time.time_ns = lambda: int(_time() * 1e9)
datetime.datetime = _Datetime  # type: ignore[misc]
