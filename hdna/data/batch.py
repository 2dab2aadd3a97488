"""From crops of bases to what the model eats: inputs, targets shifted by one, and each target's weight in the loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from hdna.config import DataConfig
from hdna.data.curriculum import StagePlan
from hdna.data.order import Crop
from hdna.genome import alphabet
from hdna.genome.hashing import hash_int
from hdna.model.batch import MicroBatch
from hdna.model.loss import IGNORE

Bases = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]
"""Tokens of a crop (context_length + 1) and its soft mask, None where nothing is masked."""

_DROPOUT = 7
_DROPOUT_SEED_BITS = 31


@dataclass(frozen=True)
class StepBatch:
    """One rank's part of one optimizer step."""

    step: int
    stage: StagePlan
    micro_batches: list[MicroBatch]
    dropout_seed: int
    """Seed of the step's dropout, the same on every rank."""


class Sampler:
    """Turns a global batch's crops into one rank's micro-batches; `read(crop, bases, part)` gives part of a crop."""

    def __init__(self, read: Callable[[Crop, int, slice], Bases], data: DataConfig, seed: int) -> None:
        self._read = read
        self._data = data
        self._seed = seed

    def step_batch(
        self, step: int, stage: StagePlan, crops: Sequence[Crop], data_rank: int, data_parallel_size: int, span: slice
    ) -> StepBatch:
        """A data rank's micro-batches of a step, at the positions `span` of every sample."""
        micro_batches = [
            self.micro_batch([crops[i] for i in positions], list(positions), stage.context_length, span)
            for micro_step in range(stage.accumulation(data_parallel_size))
            for positions in [stage.micro_batch(micro_step, data_rank, data_parallel_size)]
        ]
        seed = hash_int(self._seed, _DROPOUT, step) >> (64 - _DROPOUT_SEED_BITS)
        return StepBatch(step, stage, micro_batches, seed)

    def micro_batch(
        self, crops: Sequence[Crop], samples: Sequence[int], context_length: int, span: slice
    ) -> MicroBatch:
        """The positions `span` of crops as tensors; one base more is read, the last position's target."""
        rows = [self._read(crop, context_length + 1, slice(span.start, span.stop + 1)) for crop in crops]
        batch = collate(rows, samples, self._data.ignore_n, self._data.repeat_weight)
        return replace(batch, first_position=span.start)


def collate(rows: Sequence[Bases], positions: Sequence[int], ignore_n: bool, repeat_weight: float) -> MicroBatch:
    """Stack crops of L + 1 bases. Targets other than A, C, G, T are ignored, N only where `ignore_n` says so."""
    tokens = np.stack([tokens for tokens, _ in rows])
    following = tokens[:, 1:]
    predicted = (following >= alphabet.A) & (following <= (alphabet.T if ignore_n else alphabet.N))
    weights = predicted.astype(np.float32)
    for row, (_, mask) in zip(weights, rows, strict=True):
        if mask is not None and repeat_weight != 1.0:
            row[mask[1:]] *= repeat_weight
    targets = np.where(predicted, following, np.int64(IGNORE))
    return MicroBatch(
        torch.from_numpy(tokens[:, :-1].astype(np.int64)),
        torch.from_numpy(targets),
        torch.from_numpy(weights),
        torch.tensor(positions, dtype=torch.int64),
    )
