"""Checkpoints of small models of random weights, and models that are known: what commands judge in tests."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from hdna.checkpoint import MOMENTS, RunState, checkpoint_url, commit_checkpoint, write_checkpoint_part
from hdna.config import RunConfig, dump_recipe
from hdna.downstream.subject import Subject
from hdna.genome import alphabet
from hdna.model import HyenaDNA

Lookup = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Token ids (B, L) to the bases foretold (B, L), and where (B, L) bool there are any."""


class Foretelling(nn.Module):
    """Gives the base it foretells probability `p`, the others an equal share of the rest; all a quarter elsewhere."""

    def __init__(self, lookup: Lookup, p: float) -> None:
        super().__init__()
        self.lookup, self.p = lookup, p

    def forward(self, input_ids: Tensor) -> Tensor:
        foretold, known = self.lookup(input_ids)
        logits = torch.full((*input_ids.shape, alphabet.EMBEDDING_ROWS), -1e9)
        logits[..., alphabet.A : alphabet.T + 1] = torch.where(known, math.log((1 - self.p) / 3), math.log(0.25))[
            ..., None
        ]
        value = torch.where(known, math.log(self.p), math.log(0.25))[..., None]
        place = torch.where(known, foretold, alphabet.A)[..., None]
        return logits.scatter(-1, place, value)


def known_subject(config: RunConfig, model: nn.Module) -> Subject:
    """As if the model had been loaded."""
    return Subject("nowhere", 0, 0, "0" * 64, config, model, torch.device("cpu"))  # type: ignore[arg-type]


def save_model(config: RunConfig, run: Path, scale: float = 1.0) -> HyenaDNA:
    """A run whose only checkpoint has random weights, `scale` times those that training begins with."""
    torch.manual_seed(3)
    model = HyenaDNA(config.model).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(scale)
    kinds = ("parameters", *MOMENTS)
    tensors = {f"{kind}.{name}": parameter.clone() for kind in kinds for name, parameter in model.named_parameters()}
    part = write_checkpoint_part(checkpoint_url(str(run), 1, 0), 0, 1, tensors)
    commit_checkpoint(str(run), RunState(step=1, tokens=2048, recipe=dump_recipe(config)), 0, [part])
    return model
