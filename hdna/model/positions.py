"""The implicit filter's inputs: functions of a position in closed form, also in a model of an extended context.

Shapes: M = l_max positions, P = emb_dim positional features.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from hdna.config.schema import ModelConfig


def filter_features(config: ModelConfig) -> Tensor:
    """The inputs (M, P) of a model's filters in fp32."""
    if not config.extended_from or config.filter_positions == "rescaled":
        return positional_features(config.l_max, config.emb_dim)
    span = config.extended_from[0]
    t_M1 = places(config)[:, None] / (span - 1)
    return _features(t_M1.float(), places(config)[:, None].float(), span, config.emb_dim)


def positional_features(l_max: int, emb_dim: int) -> Tensor:
    """The inputs (M, P) in fp32 that HyenaDNA is published with: t from 0 to 1, then waves of a position's share."""
    t_M1 = torch.linspace(0, 1, l_max)[:, None]
    return _features(t_M1, torch.arange(l_max, dtype=torch.float32)[:, None], l_max, emb_dim)


def _features(t_M1: Tensor, place_M1: Tensor, span: int, emb_dim: int) -> Tensor:
    """t, then cos and -sin of (P - 1) / 2 frequencies, whole waves of which fill `span` positions."""
    bands = (emb_dim - 1) // 2
    # The order of operations is the reference's: at large l_max it affects the fp32 angles.
    angles_MP = torch.linspace(1e-4, bands - 1, bands) * (2 * math.pi * place_M1 / span)
    return torch.cat((t_M1, angles_MP.cos(), -angles_MP.sin()), dim=-1)


def places(config: ModelConfig) -> Tensor:
    """(M,) in fp64: where the filter of the first model, before any extension, is read for each position.

    absolute: at the position itself, also beyond that filter's end. squeezed: each extension keeps the positions up to
    half of the context before it and spreads the others over what was its second half, so that no filter is ever read
    where it was not trained (decided by bench/context_extension.py).
    """
    place_M = torch.arange(config.l_max, dtype=torch.float64)
    if config.filter_positions == "absolute":
        return place_M
    for shorter, longer in reversed([*pairwise((*config.extended_from, config.l_max))]):
        half = shorter // 2
        squeezed_M = half + (place_M - half) * ((shorter - 1 - half) / (longer - 1 - half))
        place_M = torch.where(place_M > half, squeezed_M, place_M)
    return place_M
