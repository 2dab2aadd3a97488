"""From crops of bases to one rank's micro-batches for a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hdna.config import DataConfig
from hdna.data.curriculum import StagePlan
from hdna.data.order import Crops
from hdna.data.stream import Rows
from hdna.genome.hashing import hash_int
from hdna.model.micro_batch import MicroBatch

ReadBatch = Callable[[Crops, int, slice, bool], Rows]
"""(crops, bases per crop, span of them, whether to read soft masks), like `WindowReader.read_batch`."""

_DROPOUT = 7
_DROPOUT_SEED_BITS = 31


@dataclass(frozen=True)
class StepBatch:
    """One rank's share of one optimizer step."""

    step: int
    stage: StagePlan
    micro_batches: list[MicroBatch]
    dropout_seed: int
    """Dropout seed of the step, the same on every rank."""


class Collator:
    """Turns a global batch's crops into one rank's micro-batches."""

    def __init__(self, read: ReadBatch, data: DataConfig, seed: int) -> None:
        self._read = read
        self._data = data
        self._seed = seed

    def step_batch(
        self, step: int, stage: StagePlan, crops: Crops, data_rank: int | None, data_parallel_size: int, span: slice
    ) -> StepBatch:
        """A data rank's micro-batches of a step, at the positions `span` of every sample; None: an idle rank's.

        All are read in one call, whose fixed cost of some 50 microseconds equals 50 crops of 1,024 bases.
        """
        micro_steps = range(stage.accumulation(data_parallel_size))
        if data_rank is None:
            mine = [range(0) for _ in micro_steps]
        else:
            mine = [stage.micro_batch(micro_step, data_rank, data_parallel_size) for micro_step in micro_steps]
        read = [samples or range(1) for samples in mine]
        indices = [index for samples in read for index in samples]
        share = self.micro_batch(crops.take(indices), indices, stage.context_length, span)
        parts = zip(mine, share.split([len(samples) for samples in read]), strict=True)
        micro_batches = [part if samples else part.without_targets() for samples, part in parts]
        seed = hash_int(self._seed, _DROPOUT, step) >> (64 - _DROPOUT_SEED_BITS)
        return StepBatch(step, stage, micro_batches, seed)

    def micro_batch(self, crops: Crops, samples: Sequence[int], context_length: int, span: slice) -> MicroBatch:
        """The positions `span` of crops as tensors, plus one base: the last position's target."""
        weigh = self._data.repeat_weight != 1.0
        with_target = slice(span.start, span.stop + 1)
        tokens, mask = self._read(crops, context_length + 1, with_target, weigh)
        return MicroBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(np.asarray(samples, np.int64)),
            None if mask is None else torch.from_numpy(mask),
            self._data.ignore_n,
            self._data.repeat_weight,
            span.start,
        )
