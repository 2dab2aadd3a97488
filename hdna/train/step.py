"""One optimizer step: the exact gradient of the mean loss over the whole global batch, whatever its layout."""

import math
from dataclasses import dataclass

import torch

from hdna.data.batch import MicroBatch, StepBatch
from hdna.parallel.mesh import Mesh
from hdna.train.engine import Engine


@dataclass(frozen=True)
class StepResult:
    """What a step measured, over all ranks."""

    loss: float
    """Weighted mean nats per predicted base of the global batch; NaN where nothing was predicted (all N)."""
    grad_norm: float
    """Global gradient norm before clipping."""
    bases: int
    """Predicted bases: targets that are not ignored."""

    @property
    def finite(self) -> bool:
        """Whether loss (where there is one) and gradient are numbers; a step where they are not changes nothing."""
        return math.isfinite(self.grad_norm) and (math.isfinite(self.loss) or not self.bases)


def optimizer_step(engine: Engine, mesh: Mesh, batch: StepBatch, learning_rate: float) -> StepResult:
    """Forward and backward over the rank's micro-batches, then one update.

    The weights of all targets, of all micro-batches and ranks, are summed before the first backward: each target's
    gradient is divided by that sum, however unevenly N falls on the ranks.
    """
    local = torch.zeros(2, dtype=torch.float64)
    for micro_batch in batch.micro_batches:
        local += torch.stack([micro_batch.weights.sum(dtype=torch.float64), (micro_batch.weights > 0).sum()])
    weight, bases = mesh.sum(local.to(engine.device)).tolist()
    nats = torch.zeros((), dtype=torch.float64, device=engine.device)
    for number, micro_batch in enumerate(batch.micro_batches, 1):
        micro_nats = micro_batch_nats(engine, micro_batch, batch.dropout_seed)
        engine.backward(micro_nats, weight or 1.0, last=number == len(batch.micro_batches))
        nats += micro_nats.detach()
    grad_norm = engine.step(learning_rate)
    total = float(mesh.sum(nats))
    return StepResult(total / weight if weight else math.nan, grad_norm, round(bases))


def micro_batch_nats(engine: Engine, micro_batch: MicroBatch, dropout_seed: int) -> torch.Tensor:
    """Sum of weighted nats of a micro-batch, its dropout keyed by each sample's place in the global batch."""
    on_device = micro_batch.to(engine.device)
    engine.module.model.embed_dropout.at(dropout_seed, on_device.samples)
    return engine.nats(on_device.input_ids, on_device.targets, on_device.weights)
