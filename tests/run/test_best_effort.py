"""What a run can do without: its failures are said once and counted, and end nothing."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from hdna.errors import InputError
from hdna.run.best_effort import BestEffort, in_one_line
from hdna.run.events import Event


@pytest.fixture
def full_terminal() -> Iterator[TextIO]:
    """Output that goes to a full disk."""
    with Path("/dev/full").open("w", buffering=1) as file:
        yield file
        with pytest.raises(OSError, match="No space left"):
            file.close()


def test_each_kind_of_failure_is_said_once_and_counted(tmp_path: Path) -> None:
    said: list[Event] = []
    best_effort = BestEffort(said.append)
    assert best_effort.summary() is None
    for _ in range(3):
        with best_effort.trying("plots"):
            (tmp_path / "missing" / "plot").write_text("")
    with best_effort.trying("upload"):
        raise InputError("s3://user:secret@bucket/run: refused")
    assert said == [
        "plots: No such file or directory: see whether the path is right; training goes on",
        "upload: s3://***@bucket/run: refused; training goes on",
    ]
    assert best_effort.summary() == "4 times something beside training failed: plots (3), upload (1)"


def test_a_terminal_that_takes_nothing_ends_nothing(full_terminal: TextIO, caplog: pytest.LogCaptureFixture) -> None:
    best_effort = BestEffort(lambda event: print(event, file=full_terminal))
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            best_effort.report(f"step {step}")
    assert [record.message for record in caplog.records] == [
        "progress: No space left on device: free space, or choose a place on another disk; training goes on"
    ]
    assert best_effort.summary() == "3 times something beside training failed: progress (3)"


def test_a_closed_pipe_ends_nothing(tmp_path: Path) -> None:
    """`hdna train 2>&1 | head`: rich would end the process."""
    code = """
import pathlib, sys
from hdna.cli.run_display import RunDisplay
from hdna.progress import Progress
from hdna.run.best_effort import BestEffort
with Progress() as display:
    best_effort = BestEffort(RunDisplay(display))
    for step in range(3):
        best_effort.report("step")
pathlib.Path(sys.argv[1]).write_text(best_effort.summary())
"""
    reader, writer = os.pipe()
    os.close(reader)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "summary")], stderr=writer, check=True)
    os.close(writer)
    assert "something beside training failed: progress" in (tmp_path / "summary").read_text()


def test_ctrl_c_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt), BestEffort(lambda event: None).trying("plots"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("exp_avg"), "KeyError: 'exp_avg'"),
        (InputError("x: y: z"), "x: y: z"),
        (RuntimeError("first\n  second"), "RuntimeError: first second"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_exception_in_one_line(error: Exception, line: str) -> None:
    assert in_one_line(error) == line
