"""The stage of each step, and how a global batch is distributed: pure functions of integers.

The clock is tokens seen. Step s begins at s * global_batch_tokens tokens and belongs to the stage whose half-open range
contains that number, so a stage ends with the step that reaches its `until_tokens`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from hdna.config import RunConfig, Stage


@dataclass(frozen=True)
class StagePlan:
    """One stage in steps."""

    index: int
    first_step: int
    end_step: int
    """First step of the next stage."""
    context_length: int
    micro_batch_size: int
    """Most samples in a micro-batch."""
    samples: int
    """Samples in each global batch."""
    sequence_parallel: int = 1
    """Ranks that share one sample."""

    def accumulation(self, data_parallel_size: int) -> int:
        """Micro steps per optimizer step on each data rank."""
        return -(-self.samples // (self.micro_batch_size * data_parallel_size))

    def largest_micro_batch(self, data_parallel_size: int) -> int:
        """Samples of the largest micro-batch."""
        return -(-self.samples // (self.accumulation(data_parallel_size) * data_parallel_size))

    def micro_batch(self, micro_step: int, data_rank: int, data_parallel_size: int) -> range:
        """Positions in the global batch of one data rank's samples in one micro step.

        The samples are dealt out evenly: micro-batches differ by one sample at most, and some are empty where there are
        fewer samples than micro-batches.
        """
        parts = self.accumulation(data_parallel_size) * data_parallel_size
        part = micro_step * data_parallel_size + data_rank
        return range(part * self.samples // parts, (part + 1) * self.samples // parts)


class Curriculum:
    """The stages of a run in steps."""

    def __init__(self, stages: Sequence[Stage], global_batch_tokens: int) -> None:
        self.global_batch_tokens = global_batch_tokens
        ends = [-(-stage.until_tokens // global_batch_tokens) for stage in stages]
        self.stages = [
            StagePlan(index, first, end, stage.context_length, stage.micro_batch_size, samples, stage.sequence_parallel)
            for index, (stage, first, end) in enumerate(zip(stages, [0, *ends[:-1]], ends, strict=True))
            for samples in [global_batch_tokens // stage.context_length]
        ]
        self._firsts = [stage.first_step for stage in self.stages]

    @classmethod
    def of(cls, config: RunConfig) -> "Curriculum":
        """The curriculum of a recipe."""
        return cls(config.curriculum, config.optim.global_batch_tokens)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.stages[-1].end_step

    @property
    def tokens(self) -> int:
        """Tokens of the whole run, in full steps."""
        return self.steps * self.global_batch_tokens

    def stage(self, step: int) -> StagePlan:
        """The stage that step `step` (0-based) belongs to.

        Raises IndexError past the end of the run.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a run of {self.steps}")
        return self.stages[bisect_right(self._firsts, step) - 1]
