"""Bits per base of a split: mean nats of A, C, G and T targets over ln 2, so that a uniform guess scores 2."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from hdna.data.order import Crop, Crops
from hdna.data.stream import WindowReader
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh, slice_batch


@dataclass(frozen=True)
class Score:
    """Nats summed over the scored bases; N and other codes are neither scored nor counted."""

    nats: float
    bases: int

    @property
    def loss(self) -> float:
        """Mean nats per base."""
        return self.nats / self.bases if self.bases else math.nan

    @property
    def bits_per_base(self) -> float:
        """Mean bits per base."""
        return self.loss / math.log(2)


def evaluation_crops(reader: WindowReader, context_length: int, max_bases: int) -> Crops:
    """Non-overlapping crops from the first window on, until they cover `max_bases`; none if no window fits."""
    crops: list[Crop] = []
    for window in range(len(reader)):
        for number in range((reader.bases(window) - 1) // context_length):
            if len(crops) * context_length >= max_bases:
                return Crops.of(crops)
            crops.append(Crop(window, number * context_length, "+"))
    return Crops.of(crops)


def score(
    nats: Callable[[MicroBatch], torch.Tensor],
    reader: WindowReader,
    crops: Crops,
    context_length: int,
    micro_batch_size: int,
    mesh: Mesh,
) -> Score:
    """Score crops under `nats` (a micro-batch's sum of nats), split over the ranks; every rank gets the total.

    `mesh` is the one the model is sharded for: its data ranks take different crops, its sequence ranks slices of them.

    Each rank makes the same number of forward passes (ZeRO 3 gathers parameters in them): one that has no crops takes
    the first one without targets.
    """
    per_round = micro_batch_size * mesh.data_parallel_size
    totals = torch.zeros(2, dtype=torch.float64)
    for first in range(0, len(crops), per_round):
        begin = first + mesh.data_parallel_rank * micro_batch_size
        mine = crops[:0] if mesh.is_idle else crops[begin : begin + micro_batch_size]
        tokens, _ = reader.read_batch(mine or crops[:1], context_length + 1, masked=False)
        whole = MicroBatch(torch.from_numpy(tokens), torch.arange(len(tokens)))
        batch = slice_batch(whole if mine else whole.without_targets(), mesh)
        with torch.no_grad():
            totals += torch.tensor([float(nats(batch)), batch.weight_and_bases()[1]], dtype=torch.float64)
    total_nats, bases = mesh.sum(totals).tolist()
    return Score(total_nats, round(bases))
