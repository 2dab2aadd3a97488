"""One optimizer step: the exact gradient of the mean loss over the global batch, whatever its layout."""

import math
from dataclasses import dataclass

import torch

from hdna.data.collate import Collator, StepBatch
from hdna.data.curriculum import StagePlan
from hdna.data.order import Crops
from hdna.model.filter_cache import MicroStep
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh
from hdna.train.engine import Engine


@dataclass(frozen=True)
class StepResult:
    """A step's measurements over all ranks."""

    loss: float
    """Weighted mean nats per predicted base of the global batch; NaN if nothing was predicted (all N)."""
    grad_norm: float
    """Global gradient norm before clipping."""
    bases: int
    """Predicted bases: targets that are not ignored."""

    @property
    def finite(self) -> bool:
        """Whether loss (if any) and gradient are finite; otherwise the step changes nothing."""
        return math.isfinite(self.grad_norm) and (math.isfinite(self.loss) or not self.bases)


def share_of_step(collator: Collator, step: int, stage: StagePlan, crops: Crops, mesh: Mesh) -> StepBatch:
    """A rank's share of a step's global batch: its data rank's samples, its sequence rank's slice of them."""
    span = mesh.slice_of(stage.context_length)
    data_rank = None if mesh.is_idle else mesh.data_parallel_rank
    return collator.step_batch(step, stage, crops, data_rank, mesh.data_parallel_size, span)


def optimizer_step(engine: Engine, mesh: Mesh, batch: StepBatch, learning_rate: float) -> StepResult:
    """Forward and backward over the rank's micro-batches, then one update.

    All target weights, over micro-batches and ranks, are summed before the first backward pass: each target's gradient
    is divided by that sum, however unevenly N is distributed over ranks.
    """
    counted = [micro_batch.weight_and_bases() for micro_batch in batch.micro_batches]
    local = torch.tensor(counted, dtype=torch.float64, device=engine.device).sum(dim=0)
    weight, bases = mesh.sum(local).tolist()
    nats = torch.zeros((), dtype=torch.float64, device=engine.device)
    for number, micro_batch in enumerate(batch.micro_batches, 1):
        micro_step = MicroStep(first=number == 1, last=number == len(batch.micro_batches))
        micro_nats = micro_batch_nats(engine, micro_batch, batch.dropout_seed, micro_step)
        engine.backward(micro_nats, weight or 1.0, micro_step.last)
        nats += micro_nats.detach()
    grad_norm = engine.step(learning_rate)
    total = float(mesh.sum(nats))
    return StepResult(total / weight if weight else math.nan, grad_norm, round(bases))


def micro_batch_nats(engine: Engine, micro_batch: MicroBatch, dropout_seed: int, micro_step: MicroStep) -> torch.Tensor:
    """Sum of weighted nats of a micro-batch; dropout is keyed by position in the global batch and in the sample."""
    on_device, model = micro_batch.to(engine.device), engine.module.model
    model.embed_dropout.set_position(dropout_seed, on_device.samples, on_device.first_position)
    model.backbone.micro_step = micro_step
    return engine.nats(on_device.input_ids, on_device.targets, on_device.weights)
