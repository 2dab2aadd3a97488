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
    """Weighted mean nats per predicted base of the global batch."""
    grad_norm: float
    """Global gradient norm before clipping."""
    bases: int
    """Predicted bases: targets that are not ignored."""

    @property
    def finite(self) -> bool:
        """Whether the step changed the weights."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


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
    for micro_batch in batch.micro_batches:
        micro_nats = micro_batch_nats(engine, micro_batch, batch.dropout_seed)
        engine.backward(micro_nats, max(weight, 1.0))
        nats += micro_nats.detach()
    grad_norm = engine.step(learning_rate)
    return StepResult(float(mesh.sum(nats)) / max(weight, 1.0), grad_norm, round(bases))


def micro_batch_nats(engine: Engine, micro_batch: MicroBatch, dropout_seed: int) -> torch.Tensor:
    """Sum of weighted nats of a micro-batch, its dropout keyed by each sample's place in the global batch."""
    on_device = micro_batch.to(engine.device)
    engine.module.model.embed_dropout.at(dropout_seed, on_device.samples)
    return engine.nats(on_device.input_ids, on_device.targets, on_device.weights)
