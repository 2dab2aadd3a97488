"""From crops of bases to what the model eats: inputs, targets shifted by one, and each target's weight in the loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hdna.config import DataConfig
from hdna.data.curriculum import StagePlan
from hdna.data.order import Crop
from hdna.genome import alphabet
from hdna.genome.hashing import hash_int
from hdna.model.loss import IGNORE

Bases = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]
"""Tokens of a crop (context_length + 1) and its soft mask, None where nothing is masked."""

_DROPOUT = 7
_DROPOUT_SEED_BITS = 31


@dataclass(frozen=True)
class MicroBatch:
    """What one rank runs forward and backward at once; B samples of L positions."""

    input_ids: torch.Tensor
    """(B, L) int64."""
    targets: torch.Tensor
    """(B, L) int64: the next base, IGNORE where it is not predicted."""
    weights: torch.Tensor
    """(B, L) float32: weight of each target in the loss, 0 where ignored."""
    samples: torch.Tensor
    """(B,) int64: positions in the global batch, which key dropout."""

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on a device."""
        return MicroBatch(*(t.to(device, non_blocking=True) for t in vars(self).values()))


@dataclass(frozen=True)
class StepBatch:
    """One rank's part of one optimizer step."""

    step: int
    stage: StagePlan
    micro_batches: list[MicroBatch]
    dropout_seed: int
    """Seed of the step's dropout, the same on every rank."""


class Sampler:
    """Turns a global batch's crops into one data rank's micro-batches; `read(crop, bases)` gives a crop's bases."""

    def __init__(self, read: Callable[[Crop, int], Bases], data: DataConfig, seed: int, rank: int, ranks: int) -> None:
        self._read = read
        self._data = data
        self._seed = seed
        self._rank, self._ranks = rank, ranks

    def step_batch(self, step: int, stage: StagePlan, crops: Sequence[Crop]) -> StepBatch:
        """The rank's micro-batches of a step."""
        micro_batches = [
            self.micro_batch([crops[i] for i in positions], list(positions), stage.context_length)
            for micro_step in range(stage.accumulation(self._ranks))
            for positions in [stage.micro_batch(micro_step, self._rank, self._ranks)]
        ]
        seed = hash_int(self._seed, _DROPOUT, step) >> (64 - _DROPOUT_SEED_BITS)
        return StepBatch(step, stage, micro_batches, seed)

    def micro_batch(self, crops: Sequence[Crop], positions: Sequence[int], context_length: int) -> MicroBatch:
        """Crops as tensors."""
        rows = [self._read(crop, context_length + 1) for crop in crops]
        return collate(rows, positions, self._data.ignore_n, self._data.repeat_weight)


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
