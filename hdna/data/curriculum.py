"""The stage of each step, and how a global batch is distributed: pure functions of integers.

The clock is tokens seen. Step s begins at s * global_batch_tokens tokens and belongs to the stage whose half-open range
contains that number, so a stage ends with the step that reaches its `until_tokens`. Each step of a stage of several
contexts has one of them, by turns.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from hdna.config import RunConfig, Stage
from hdna.config.checks import CONTEXT_PERIOD
from hdna.data.turns import Turns


@dataclass(frozen=True)
class StagePlan:
    """One stage in steps, at one of its contexts."""

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
        self.contexts = [
            [
                StagePlan(index, first, end, context, samples, global_batch_tokens // context, stage.sequence_parallel)
                for context in (stage.context_length, *stage.shorter_contexts)
                for samples in [stage.micro_batch_size * (stage.context_length // context)]
            ]
            for index, (stage, first, end) in enumerate(zip(stages, [0, *ends[:-1]], ends, strict=True))
        ]
        """Each stage at each of its contexts, the longest first; micro-batches have about as many tokens at all."""
        self.stages = [contexts[0] for contexts in self.contexts]
        """Each stage at its longest context."""
        self._turns = [
            Turns(stage.context_weights or [1.0] * len(contexts), CONTEXT_PERIOD)
            for stage, contexts in zip(stages, self.contexts, strict=True)
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
        """The stage that step `step` (0-based) belongs to, at the step's context.

        Raises IndexError past the end of the run.
        """
        index = self._index(step)
        return self.contexts[index][self._turns[index].kind(step - self._firsts[index])]

    def earlier(self, step: int) -> int:
        """Steps of the same stage and context before this one."""
        index = self._index(step)
        turns, done = self._turns[index], step - self._firsts[index]
        return turns.count(turns.kind(done), done)

    def steps_at(self, plan: StagePlan) -> int:
        """Steps of a stage that have the plan's context."""
        return self._turns[plan.index].count(self.contexts[plan.index].index(plan), plan.end_step - plan.first_step)

    def _index(self, step: int) -> int:
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a run of {self.steps}")
        return bisect_right(self._firsts, step) - 1
