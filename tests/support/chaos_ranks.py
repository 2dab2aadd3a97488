"""A disturbed run of ranks that the tests start themselves."""

import time
from collections.abc import Callable
from pathlib import Path

from hdna.run.step_record import StepRecord
from support.chaos import TIMEOUT_S, DisturbedRun
from support.rank_tasks import run_training
from support.ranks import COLLECTIVE_TIMEOUT_S, Rank, start_impatient_ranks

STEPS = 10
RANKS = 2


class RankRun(DisturbedRun):
    """A run of two ranks."""

    steps = STEPS

    def __init__(self, recipe: Path, url: str) -> None:
        super().__init__(recipe, url)
        self._ranks: list[Rank] = []
        self._reached = 0

    def start(
        self, task: Callable[..., None] = run_training, timeout_s: float = COLLECTIVE_TIMEOUT_S, **settings: object
    ) -> list[Rank]:
        """Start the ranks, and leave them alone."""
        overrides = [f"run.url={self.url}", f"parallel.workers={RANKS}", "curriculum.0.micro_batch_size=1"]
        overrides += ["checkpoint.keep_last=100", f"parallel.collective_timeout_s={timeout_s:.0f}"]
        self._ranks = start_impatient_ranks(timeout_s, RANKS, task, recipe=self.recipe, overrides=overrides, **settings)
        return self._ranks

    def disturbed(self) -> None:
        """The fault strikes now."""
        super().disturbed()
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
            assert rank.wait(TIMEOUT_S) == 0, rank.errors()[-2000:]


def _last_step(leader: Rank) -> int:
    records = map(StepRecord.from_line, leader.output().encode().splitlines())
    return max((record.step for record in records if record), default=0)


def _wait_for_a_step(leader: Rank) -> int:
    """The number of the first step it announces."""
    for line in leader.lines():
        if record := StepRecord.from_line(line.encode()):
            return record.step
    raise AssertionError(f"it ended without a step: {leader.output()} {leader.errors()[-2000:]}")
