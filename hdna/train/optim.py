"""AdamW's parameter groups, and the learning rate as a pure function of tokens."""

import math
from collections.abc import Iterable
from typing import Any

from torch import nn

from hdna.config import OptimConfig

FINAL_FRACTION = 0.1
"""The cosine ends at this share of the peak, as the published runs did."""
BETAS = (0.9, 0.999)

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


def parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of named parameters, in the form torch's optimizers take: with weight decay and without."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in parameters:
        (decayed if name.endswith(_DECAYED) else plain).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
