"""Processes forked from one that has imported torch, DeepSpeed and hdna: a fork takes milliseconds, the imports four
seconds of processor time.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import sys
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
REPO = TESTS.parent
PRELOADED = ["support.preloaded"]


@cache
def fork_server() -> ForkServerContext:
    """The process that others are forked from, started once for each process of the test run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, sys.path)]))
        patch.setenv("DS_ACCELERATOR", "cpu")
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()
    return context


def redirect_output(out: Path, err: Path) -> None:
    """In the forked process: append to these files what it prints."""
    assert set(PRELOADED) <= set(sys.modules), "forked without the libraries loaded"
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream.fileno())
