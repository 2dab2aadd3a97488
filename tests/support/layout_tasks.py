"""What the ranks of the layout law do: one optimizer step under each layout, whose loss, gradient norm and (clipped)
gradients rank 0 writes to a file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests
from safetensors.torch import save_file

from hdna.config import RunConfig
from hdna.data.collate import StepBatch
from hdna.genome import alphabet
from hdna.model.micro_batch import MicroBatch
from hdna.ops import tiled
from hdna.parallel import Mesh, all_to_all
from hdna.train import engine as engine_module
from hdna.train.step import optimizer_step
from support.rank_tasks import prepared

MASKED = 20
"""Positions at the end of the global batch's first sample that `masked_at_one_end` takes out of the loss."""


class LayoutTask(NamedTuple):
    """One layout, as sent to the ranks."""

    name: str
    """Of the file."""
    step: int
    config: RunConfig
    """With which the ranks need not read a recipe: that takes as long as a step."""
    min_message_bytes: int
    tile: int
    mask_one_end: bool


class GradientAsWeight(torch.optim.Optimizer):
    """Replaces each weight by the gradient that reached the optimizer: to be read back, to the last bit, in any layout.

    AdamW would divide a wrong gradient scale away, and a difference of fp32 weights has too few digits.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Copy gradients over weights; a learning rate of 0 leaves the weights."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and group["lr"]:
                    parameter.copy_(parameter.grad)
        return None


def masked_at_one_end(batch: MicroBatch, context_length: int) -> None:
    """Make the last targets of sample 0 [UNK], in place: they all lie on one rank, whatever the layout."""
    positions = batch.first_position + torch.arange(batch.tokens.shape[1])
    batch.tokens[(batch.samples == 0)[:, None] & (positions > context_length - MASKED)] = alphabet.UNK


def run_layouts(layouts: Sequence[LayoutTask], out: Path) -> None:
    """One optimizer step under each layout, in files of the layouts' names."""
    engine_module._adamw = lambda groups, device: GradientAsWeight(groups)
    for layout in layouts:
        all_to_all.MIN_MESSAGE_BYTES = layout.min_message_bytes
        tiled.CPU_TILE = layout.tile
        mesh = Mesh.of_this_process()
        engine, sampled = prepared(layout.config)
        optimizer_step(engine, mesh, sampled(layout.step - 1), learning_rate=0.0)  # what it leaves must not count
        batch = sampled(layout.step)
        if layout.mask_one_end:
            _mask(batch)
        result = optimizer_step(engine, mesh, batch, learning_rate=1.0)
        found = {name: gradient.clone() for name, gradient in engine.parameters()}
        found["loss"] = torch.tensor(result.loss, dtype=torch.float64)
        found["grad_norm"] = torch.tensor(result.grad_norm, dtype=torch.float64)
        if dist.get_rank() == 0:
            save_file(found, out / f"{layout.name}.safetensors")


def _mask(batch: StepBatch) -> None:
    for micro_batch in batch.micro_batches:
        masked_at_one_end(micro_batch, batch.stage.context_length)
