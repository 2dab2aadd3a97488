"""Real ranks for tests: processes joined by gloo."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ParamSpec

from hdna.run.step_record import StepRecord
from support.fork_server import fork_server, redirect_output

RANKS_TIMEOUT_S = 600
"""What a task may take on a machine that other work slows down."""
COLLECTIVE_TIMEOUT_S = 1800.0

P = ParamSpec("P")


class Rank:
    """One process of a group, its output in files."""

    def __init__(self, process: BaseProcess, out: Path, err: Path) -> None:
        self._process = process
        self._out = out
        self._err = err

    def lines(self) -> Iterator[str]:
        """What it prints, line by line, until it ends."""
        with self._out.open() as file:
            while True:
                ended = not self._process.is_alive()
                line = file.readline()
                while line and not line.endswith("\n") and not ended:
                    time.sleep(0.001)
                    line += file.readline()
                if line:
                    yield line
                elif ended:
                    return
                else:
                    time.sleep(0.001)

    def wait_for_step(self, step: int) -> None:
        """Until it has announced a training step, or has ended."""
        for line in self.lines():
            record = StepRecord.from_line(line.encode())
            if record is not None and record.step == step:
                return

    def wait(self, timeout_s: float = RANKS_TIMEOUT_S) -> int:
        """Its exit status; negative for a signal. Fails when it has not ended in time."""
        self._process.join(timeout_s)
        status = self._process.exitcode
        assert status is not None, f"no end within {timeout_s} s: {self.errors()[-4000:]}"
        return status

    def output(self) -> str:
        """What it has printed."""
        return self._out.read_text()

    def errors(self) -> str:
        """What it has written to standard error."""
        return self._err.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it, whatever it does, and wait until it is gone."""
        self._process.kill()
        self._process.join()


def start_ranks(world_size: int, task: Callable[P, None], *args: P.args, **settings: P.kwargs) -> list[Rank]:
    """Start a function of a module on that many ranks, with these settings, and leave them to the caller."""
    return start_impatient_ranks(COLLECTIVE_TIMEOUT_S, world_size, task, *args, **settings)


def start_impatient_ranks(
    timeout_s: float, world_size: int, task: Callable[P, None], *args: P.args, **settings: P.kwargs
) -> list[Rank]:
    """The same, in a group whose collectives wait `timeout_s` at most."""
    folder = Path(tempfile.mkdtemp(prefix="hdna-ranks-"))
    variables = {
        **os.environ,
        "WORLD_SIZE": str(world_size),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    ranks = []
    for rank in range(world_size):
        out, err = (folder / f"rank-{rank}.{kind}" for kind in ("out", "err"))
        for path in (out, err):
            path.touch()
        own = {**variables, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        arguments = (folder, own, timeout_s, partial(task, *args, **settings), out, err)
        process = fork_server().Process(target=_run_rank, args=arguments, daemon=True)
        process.start()
        ranks.append(Rank(process, out, err))
    return ranks


def run_ranks(world_size: int, task: Callable[P, None], *args: P.args, **settings: P.kwargs) -> list[Rank]:
    """Run a function of a module on that many ranks to its end; fails when a rank fails or hangs."""
    ranks = start_ranks(world_size, task, *args, **settings)
    try:
        for rank in ranks:
            assert rank.wait() == 0, rank.errors()[-4000:]
    finally:
        for rank in ranks:
            rank.kill()
    return ranks


def _run_rank(
    folder: Path,
    environment: dict[str, str],
    timeout_s: float,
    task: Callable[[], None],
    out: Path,
    err: Path,
) -> None:
    """Join the group, run the task, leave."""
    redirect_output(out, err)
    os.environ.clear()
    os.environ.update(environment)
    import torch
    import torch.distributed as dist  # noqa: TID251 - the ranks of tests

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=int(environment["RANK"]),
        world_size=int(environment["WORLD_SIZE"]),
        timeout=timedelta(seconds=timeout_s),
    )
    task()
    dist.destroy_process_group()
