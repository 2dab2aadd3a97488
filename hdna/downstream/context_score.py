"""Nats of target blocks at a context length, repeats and unique sequence apart, on one rank or many.

Shapes: R blocks, C context lengths, B crops of a pass, S positions of a crop (or of this rank's slice of it), t targets
among them. The last axis of a tally, 2, is unique sequence, then repeats (soft-masked).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.data.order import Crops
from hdna.data.stream import WindowReader
from hdna.downstream.metrics import Floats
from hdna.downstream.target_blocks import TargetBlocks
from hdna.model.loss import IGNORE
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh
from hdna.progress import Advance

_POSITIONS = 1 << 15
"""Of a forward pass, if it has several crops."""

Logits = Callable[[Tensor], Tensor]
"""A model: (B, S) int64 token ids to logits (B, S, V) of the next one."""


@dataclass(frozen=True)
class Tally:
    """What blocks cost at each context length: N and other codes are in neither."""

    nats_CR2: Floats
    bases_CR2: Floats


def score_blocks(
    model: Logits, reader: WindowReader, blocks: TargetBlocks, mesh: Mesh, device: torch.device, advance: Advance
) -> Tally:
    """Score the blocks at each of their contexts; called by all ranks, and every rank gets the whole tally.

    `mesh` is the one the model is sharded for: its data ranks take different crops, its sequence ranks slices of them.
    `advance` is told how many positions of a sample were run over, by all data ranks together.

    Raises InputError when the ranks cannot cut a context into equal slices.
    """
    sums_CR22 = torch.zeros(len(blocks.contexts), len(blocks.windows_R), 2, 2, dtype=torch.float64)
    for number, context in enumerate(blocks.contexts):
        crops, block_of = blocks.crops(context)
        first_target = context - blocks.stretch_bases(context)
        for mine in _passes(len(crops), max(1, _POSITIONS // context), mesh):
            batch = _read(reader, crops[mine], context, mesh).to(device)
            sums_B22 = _sums(model, batch, max(0, first_target - batch.first_position))
            sums_CR22[number].index_add_(0, torch.from_numpy(block_of[mine]), sums_B22.cpu())
            advance(len(batch.tokens) * context * mesh.data_parallel_size)
    summed = mesh.sum(sums_CR22.to(device)).cpu().numpy()
    return Tally(summed[..., 0, :], summed[..., 1, :])


def _passes(crops: int, per_pass: int, mesh: Mesh) -> list[slice]:
    """The crops of each forward pass of this rank; the same for all ranks that share a sample."""
    if mesh.is_idle:
        return []
    firsts = range(mesh.data_parallel_rank * per_pass, crops, per_pass * mesh.data_parallel_size)
    return [slice(first, min(first + per_pass, crops)) for first in firsts]


def _read(reader: WindowReader, crops: Crops, context: int, mesh: Mesh) -> MicroBatch:
    """The slice of crops that is on this rank, and the base after it."""
    span = mesh.slice_of(context)
    tokens, masks = reader.read_batch(crops, context + 1, slice(span.start, span.stop + 1))
    soft_mask = None if masks is None else torch.from_numpy(masks)
    return MicroBatch(torch.from_numpy(tokens), torch.arange(len(tokens)), soft_mask, first_position=span.start)


def _sums(model: Logits, batch: MicroBatch, first: int) -> Tensor:
    """Nats, and bases, of each crop's targets from column `first` on: (B, 2, 2) in fp64."""
    with torch.no_grad():
        logits_BtV = model(batch.input_ids)[:, first:].float()
    targets_Bt = batch.targets[:, first:]
    nats_Bt = F.cross_entropy(logits_BtV.transpose(1, 2), targets_Bt, ignore_index=IGNORE, reduction="none").double()
    repeat_Bt = torch.zeros_like(targets_Bt) if batch.soft_mask is None else batch.soft_mask[:, 1 + first :].long()
    one_hot_Bt2 = F.one_hot(repeat_Bt, 2).double() * (targets_Bt != IGNORE)[..., None]
    return torch.stack([(one_hot_Bt2 * nats_Bt[..., None]).sum(1), one_hot_Bt2.sum(1)], 1)
