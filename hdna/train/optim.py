"""AdamW's parameter groups, and the learning rate as a pure function of tokens."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from hdna.config.schema import OptimConfig, Part

FINAL_FRACTION = 0.1
"""The cosine ends at this share of the peak, as the published runs did."""
BETAS = (0.9, 0.999)

RATE = "rate"
"""Of a parameter group: its learning rate over the schedule's."""
_PARTS: tuple[Part, ...] = ("embedding", "mlp", "hyena", "norm")
"""In this order: `mlp_norm.weight` and `hyena_norm.weight` hold no "mlp." or "hyena."."""
_DECAYED = ("in_proj.weight", "out_proj.weight", "short_weight", "fc1.weight", "fc2.weight")
"""Weights with decay: projections, short convolution, MLP (paper, table A.1: none on the Hyena filters)."""


def learning_rate(optim: OptimConfig, tokens: int, total_tokens: int) -> float:
    """Learning rate of the step that starts at `tokens` seen: linear warm-up, then a cosine to a tenth of the peak."""
    warmup = optim.warmup_fraction * total_tokens
    if tokens < warmup:
        return optim.learning_rate * (tokens + optim.global_batch_tokens) / (warmup + optim.global_batch_tokens)
    progress = min(1.0, (tokens - warmup) / max(1.0, total_tokens - warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return optim.learning_rate * (FINAL_FRACTION + (1 - FINAL_FRACTION) * cosine)


def part_of(name: str) -> Part:
    """The part of the model that a parameter belongs to, by its name."""
    if ".hyena.filter." in name:
        return "filter"
    return next(part for part in _PARTS if f"{part}." in name)


def parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], optim: OptimConfig) -> list[dict[str, Any]]:
    """Named parameters in groups that torch's optimizers take: by weight decay and by RATE, a share of the schedule's.

    A frozen parameter has a rate of 0, and gives no gradient to the norm that is clipped.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        decay, rate = optim.weight_decay if name.endswith(_DECAYED) else 0.0, 1.0
        part = part_of(name)
        if part in optim.frozen:
            decay = rate = 0.0
            parameter.register_hook(torch.zeros_like)
        elif part == "filter" and optim.filter_learning_rate is not None:
            rate = optim.filter_learning_rate / optim.learning_rate
        groups.setdefault((decay, rate), []).append(parameter)
    return [
        {"params": members, "weight_decay": decay, RATE: rate}
        for (decay, rate), members in sorted(groups.items(), reverse=True)
    ]
