"""A wall clock that a test sets: Python loads this at the start of each process with this folder in PYTHONPATH.

The file that HDNA_TEST_CLOCK names holds the seconds by which it is ahead; without one it is right. Ray's own servers,
which are C++, keep the machine's clock: they stand for the nodes whose clock nobody touched.
"""

import ctypes
import datetime
import gc
import os
import time
from pathlib import Path

_right_time = time.time


def _time() -> float:
    try:
        return _right_time() + float(Path(os.environ["HDNA_TEST_CLOCK"]).read_text() or 0)
    except FileNotFoundError:
        return _right_time()


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(_time(), tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return cls.fromtimestamp(_time(), datetime.UTC).replace(tzinfo=None)


time.time = _time
time.time_ns = lambda: int(_time() * 1e9)
# In the class itself: with another one in its place, extensions of Ray's that know its layout crash.
_methods = gc.get_referents(vars(datetime.datetime))[0]
_methods.update(now=classmethod(_now), utcnow=classmethod(_utcnow))
ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
