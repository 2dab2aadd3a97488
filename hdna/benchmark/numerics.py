"""How far a model's results are from fp64, in each precision and on each device at hand.

Shapes: B = 1 sample, L tokens, V vocabulary rows.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.genome import alphabet
from hdna.model import HyenaDNA, weighted_nats

SEED = 2222


@dataclass(frozen=True)
class Card:
    """One way to compute, against fp64 on the CPU."""

    name: str
    logits_error: float
    """max|a - b| / max|b| over all logits."""
    bits_per_base: float
    bits_error: float
    """Of the loss in bits per base, with its sign."""
    gradient_error: float
    """|a - b| / |b| over all gradients of the mean loss."""


@dataclass(frozen=True)
class _Found:
    logits_BLV: Tensor
    nats: float
    gradients: Tensor


def numerics(config: ModelConfig, weights: dict[str, Tensor], length: int) -> Iterator[Card]:
    """A card for each way, on `length` random bases, the same for all."""
    draw = torch.Generator().manual_seed(SEED)
    tokens = torch.randint(alphabet.A, alphabet.T + 1, (1, length + 1), generator=draw)
    exact = _run(config, weights, tokens, torch.device("cpu"), "fp64", recompute=False)
    devices = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    for device in devices:
        for precision, recompute in (("fp32", False), ("fp32", True), ("bf16", False)):
            found = _run(config, weights, tokens, device, precision, recompute)
            name = f"{device.type}, {precision}{', activation checkpointing' if recompute else ''}"
            yield _card(name, found, exact)


def _run(
    config: ModelConfig,
    weights: dict[str, Tensor],
    tokens: Tensor,
    device: torch.device,
    precision: str,
    recompute: bool,
) -> _Found:
    model = HyenaDNA(config)
    model.load_state_dict(weights, strict=True)
    model.backbone.activation_checkpointing = recompute
    model.eval().to(device, torch.float64 if precision == "fp64" else torch.float32)
    tokens = tokens.to(device)
    targets = tokens[:, 1:]
    with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
        logits = model(tokens[:, :-1])
    if precision == "fp64":
        nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    else:
        nats = weighted_nats(logits, targets, torch.ones(targets.shape, device=device))
    (nats / targets.numel()).backward()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return _Found(logits.detach().double().cpu(), float(nats.detach()) / targets.numel(), gradients.double().cpu())


def _card(name: str, found: _Found, exact: _Found) -> Card:
    logits = (found.logits_BLV - exact.logits_BLV).abs().max() / exact.logits_BLV.abs().max()
    gradients = (found.gradients - exact.gradients).norm() / exact.gradients.norm()
    bits = math.log2(math.e)
    return Card(name, float(logits), found.nats * bits, (found.nats - exact.nats) * bits, float(gradients))
