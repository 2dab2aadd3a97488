"""The `hdna` command in a process of its own, forked: its words, what it printed, how it ended."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hdna_cluster.doctor
import hdna_cluster.launch
import hdna_cluster.plan  # noqa: F401 - all loaded before commands are forked: they import inside their handlers
from hdna.cli import DEBUG, main
from support.fork_server import fork_server, redirect_output


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int | None
    """None: it was still running at the time-out, and was killed."""
    out: str
    err: str
    seconds: float


def run_command(words: Sequence[str], cwd: Path, timeout_s: float) -> Ended:
    """Run `hdna WORDS`, an unexpected error showing its traceback."""
    with tempfile.TemporaryDirectory(prefix="hdna-command-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = fork_server().Process(target=_run, args=(list(words), cwd, out, err), daemon=True)
        began = time.monotonic()
        process.start()
        process.join(timeout_s)
        status = process.exitcode
        process.kill()
        process.join()
        seconds = time.monotonic() - began
        return Ended(status, _text(out), _text(err), seconds)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _run(words: list[str], cwd: Path, out: Path, err: Path) -> None:
    redirect_output(out, err)
    os.chdir(cwd)
    os.environ[DEBUG] = "1"
    sys.argv = ["hdna", *words]
    main()
