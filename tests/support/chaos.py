"""A run that is disturbed and brought to its end all the same, and the table of what that took."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from hdna.checkpoint import LoadedCheckpoint, checkpoint_damage, list_checkpoints, load_checkpoint
from hdna.run.files import read_metrics
from hdna.run.step_record import StepRecord
from support.rank_tasks import run_training
from support.ranks import COLLECTIVE_TIMEOUT_S, Rank, start_impatient_ranks

TIMES = int(os.environ.get("HDNA_CHAOS_TIMES", "1"))
"""How often each fault is injected: often by `make chaos`, once in the tests."""
STEPS = 10
RANKS = 2
_TIMEOUT_S = 300


@dataclass
class Row:
    """What came of one kind of fault."""

    injected: int = 0
    survived: int = 0
    redone: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """From giving the command again to its first step; nothing for runs that went on by themselves."""


class DisturbedRun:
    """A run of two ranks. A fault calls `start`, then `disturbed` right before it strikes, and `resume` afterwards."""

    def __init__(self, recipe: Path, url: str) -> None:
        self.url = url
        self._recipe = recipe
        self._ranks: list[Rank] = []
        self._committed: list[str] = []
        self._reached = 0
        self.redone: list[int] = []
        self.seconds: list[float] = []
        """Both of each resumption."""

    def start(
        self, task: Callable[..., None] = run_training, timeout_s: float = COLLECTIVE_TIMEOUT_S, **settings: object
    ) -> list[Rank]:
        """Start the ranks, and leave them alone."""
        overrides = [f"run.url={self.url}", f"parallel.workers={RANKS}", "curriculum.0.micro_batch_size=1"]
        overrides += ["checkpoint.keep_last=100", f"parallel.collective_timeout_s={timeout_s:.0f}"]
        self._ranks = start_impatient_ranks(
            timeout_s, RANKS, task, recipe=self._recipe, overrides=overrides, **settings
        )
        return self._ranks

    def disturbed(self) -> None:
        """The fault strikes now: what is committed must be there ever after."""
        self._committed = [ref.url for ref in list_checkpoints(self.url)]
        self._reached = _last_step(self._ranks[0])

    def kill(self) -> None:
        """End all ranks, as when their machine is lost."""
        for rank in self._ranks:
            rank.kill()

    def resume(self) -> str:
        """The same command again, to its end; return what rank 0 says."""
        began = time.monotonic()
        leader, *_ = self.start()
        first = _wait_for_a_step(leader)
        self.seconds.append(time.monotonic() - began)
        self.redone.append(max(0, self._reached - first + 1))
        self.finish()
        return leader.output()

    def finish(self) -> None:
        """Wait until the ranks that were started come to the run's end."""
        for rank in self._ranks:
            assert rank.wait(_TIMEOUT_S) == 0, rank.errors()[-2000:]

    def check(self, expected: LoadedCheckpoint, damaged: int = 0) -> None:
        """Every committed checkpoint is still there and whole, but for those damaged on purpose, and all bits agree."""
        whole = [url for url in self._committed if checkpoint_damage(url) is None]
        assert len(whole) == len(self._committed) - damaged
        assert [record.step for record in read_metrics(self.url)] == list(range(1, STEPS + 1))
        found = load_checkpoint(list_checkpoints(self.url)[-1].url)
        assert found.state.step == STEPS
        for kind, tensors in expected.tensors.items():
            assert all(torch.equal(found.tensors[kind][name], value) for name, value in tensors.items()), kind


def inject(
    row: Row,
    fault: Callable[[DisturbedRun, random.Random], None],
    run: DisturbedRun,
    rng: random.Random,
    undisturbed: LoadedCheckpoint,
    damaged: int = 0,
) -> None:
    """Let the fault happen, and enter what came of it; `damaged`: checkpoints that it damages on purpose."""
    row.injected += 1
    try:
        fault(run, rng)
    finally:
        run.kill()
    run.check(undisturbed, damaged)
    row.survived += 1
    row.redone += run.redone
    row.seconds += run.seconds


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert holds()


def table(rows: dict[str, Row]) -> str:
    """Fault × injected × survived × steps redone × seconds to training again."""
    head = f"{'fault':58}{'injected':>9}{'survived':>9}{'steps redone':>14}{'seconds to training again':>27}"
    lines = [
        f"{name:58}{row.injected:9}{row.survived:9}{_range(row.redone, '.0f'):>14}{_range(row.seconds, '.1f'):>27}"
        for name, row in rows.items()
    ]
    return "\n".join(["", head, *lines, "(median, largest)"])


def _range(values: list[int] | list[float], form: str) -> str:
    return f"{median(values):{form}}, {max(values):{form}}" if values else "-"


def _last_step(leader: Rank) -> int:
    records = map(StepRecord.from_line, leader.output().encode().splitlines())
    return max((record.step for record in records if record), default=0)


def _wait_for_a_step(leader: Rank) -> int:
    """The number of the first step it announces."""
    for line in leader.lines():
        if record := StepRecord.from_line(line.encode()):
            return record.step
    raise AssertionError(f"it ended without a step: {leader.output()} {leader.errors()[-2000:]}")
