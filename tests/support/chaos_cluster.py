"""A disturbed run through real Ray: `hdna train`, as a user types it."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from hdna.checkpoint import LoadedCheckpoint, list_checkpoints, load_checkpoint
from hdna.run.files import METRICS, read_json
from hdna.run.step_record import StepRecord
from support.chaos import TIMEOUT_S, DisturbedRun, until
from support.processes import descendants
from support.two_nodes import TwoNodes
from support.wall_clock import with_clock

HDNA = str(Path(sys.executable).with_name("hdna"))
STEPS = 200
"""Seconds of training: workers that lost their driver must not come to the end before Ray ends them."""


class Command:
    """`hdna train` in the background, what it says in a file."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(words, env=environment, stdout=file, stderr=file, start_new_session=True)

    @property
    def has_ended(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self.process.poll() is not None

    def said(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def wait(self) -> int:
        """Its exit status. What it says is for people, to the end."""
        status = self.process.wait(TIMEOUT_S)
        assert "Traceback" not in self.said(), self.said()
        return status

    def send(self, number: signal.Signals) -> None:
        """Send it alone a signal."""
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        """The processes that train, of a command that has started its own Ray."""
        return [pid for pid, title in descendants(self.process.pid) if title.startswith("ray::RayTrainWorker")]

    def everything(self) -> list[psutil.Process]:
        """It and all processes below it: its own Ray with the workers, unless it has joined a cluster."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


class ClusterRun(DisturbedRun):
    """A run of two workers, or of as many as `workers` says: on two nodes, or else on this machine alone."""

    steps = STEPS

    def __init__(
        self, recipe: Path, url: str, nodes: TwoNodes | None = None, workers: str = "2", clock: Path | None = None
    ) -> None:
        """`clock`: the file that sets the wall clock of its processes; None: they have the machine's."""
        super().__init__(recipe, url)
        self._nodes, self._clock = nodes, clock
        self._words = ["train", str(recipe), f"run.url={url}", f"parallel.workers={workers}"]
        self._words += [f"curriculum.1.until_tokens={STEPS * 2048}", "checkpoint.keep_last=1000"]
        self._words += ["optim.learning_rate=1e-4"]  # at the recipe's, rounding grows from step to step
        self._commands: list[Command] = []
        self._processes: list[psutil.Process] = []
        self._metrics, self._before = Path(url, METRICS), Path(f"{url}-{METRICS}")

    def start(self) -> Command:
        """Give the command, and leave it alone."""
        words, environment = [HDNA, *self._words], dict(os.environ)
        if self._nodes:
            words, environment = self._nodes.driver(*self._words)
        if self._clock:
            environment = with_clock(self._clock, environment)
        self._commands.append(Command(words, environment, Path(f"{self.url}-{len(self._commands)}.log")))
        return self._commands[-1]

    def start_until(self, step: int) -> Command:
        """Give the command, wait until that step and a checkpoint, and announce a fault."""
        command = self.start()
        until(lambda: (_last_step(self._metrics) >= step and list_checkpoints(self.url)) or command.has_ended)
        assert not command.has_ended, command.said()
        self.disturbed()
        return command

    def disturbed(self) -> None:
        """The fault strikes now."""
        super().disturbed()
        self._processes += self._commands[-1].everything()
        # A resumed run begins a new file; workers that are not yet dead go on in this one.
        self._before.hardlink_to(self._metrics)

    def resume(self) -> str:
        """The same command again, to its end; return what it says."""
        self.start()
        return self.finish_after(time.monotonic())

    def finish_after(self, began: float) -> str:
        """Wait for the first step after a fault, and then until the last command comes to the run's end."""
        command = self._commands[-1]
        until(lambda: not self._metrics.samefile(self._before) or command.has_ended)
        kept = _last_step(self._metrics)
        until(lambda: _last_step(self._metrics) > kept or command.has_ended)
        self.seconds.append(time.monotonic() - began)
        said = self.finish()
        resumed = int(re.findall(r" resumes after step (\d+);", said)[-1])
        self.redone.append(_last_step(self._before) - resumed)
        return said

    def finish(self) -> str:
        """Wait until the last command comes to the run's end; return what it says."""
        command = self._commands[-1]
        status, said = command.wait(), command.said()
        assert status == 0, said
        assert self._nodes or "(raylet)" not in said, "Ray itself speaks of lost nodes only"
        return said

    def kill(self) -> None:
        """End all that is left of the commands and of their own Ray."""
        for command in self._commands:
            with suppress(psutil.NoSuchProcess):
                self._processes += command.everything()
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for command in self._commands:
            command.process.wait(TIMEOUT_S)

    def check(self, expected: LoadedCheckpoint, damaged: int = 0, tolerance: float = 0.0) -> None:
        """What holds for every run; and it is done, for its state as well."""
        super().check(expected, damaged, tolerance)
        assert read_json(self.url, "state.json")["status"] == "done"

    def last_checkpoint(self) -> LoadedCheckpoint:
        """Its newest."""
        return load_checkpoint(list_checkpoints(self.url)[-1].url)


def _last_step(metrics: Path) -> int:
    lines = metrics.read_bytes().splitlines() if metrics.exists() else []
    return max((record.step for record in map(StepRecord.from_line, lines) if record), default=0)
