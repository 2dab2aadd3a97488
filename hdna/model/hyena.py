"""The Hyena operator: gates and long convolutions in place of attention.

Shapes: B batch, L context (or slice) length, D = d_model, G = order gates, O = order - 1 long convolutions,
C = (order + 1) * D channels of the projection, K = 3 taps.
Source: HyenaDNA (arXiv 2306.15794); Hyena (arXiv 2302.10866), definition 3.1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hdna.config.schema import ModelConfig
from hdna.model.filter import FilterTables, ImplicitFilter
from hdna.model.filter_cache import FilterCache, MicroStep
from hdna.ops import causal_fft_conv, short_conv

SHORT_TAPS = 3


def whole_context(length: int) -> tuple[int, int]:
    """Return the filter positions [0, length) of an unsliced input of this length."""
    return 0, length


class HyenaOperator(nn.Module):
    """Project to order + 1 streams, mix each over three positions, then alternate gates with long convolutions.

    For order 2: y = x0 · (k ∗ (x1 · v) + bias · (x1 · v)), with x0, x1 and v the three streams in this order.

    Three attributes are plain functions, so that `hdna.parallel` can replace them and this class needs no notion of
    ranks: `short_conv(x (B, C, L), weight (C, K), bias (C,))`; one of `long_convs` per long convolution, called with
    `(u (B, D, L), k (D, L), bias (D,))`; and `filter_span(L)`, the filter positions [start, stop) that the long
    convolutions get.
    """

    def __init__(self, config: ModelConfig, tables: FilterTables) -> None:
        super().__init__()
        width, streams, self.order = config.d_model, config.order + 1, config.order
        self.in_proj = nn.Linear(width, streams * width)
        # Both uniform within ±1/sqrt(taps), a convolution layer's default.
        bound = 1 / math.sqrt(SHORT_TAPS)
        self.short_weight = nn.Parameter(torch.empty(streams * width, SHORT_TAPS).uniform_(-bound, bound))
        self.short_bias = nn.Parameter(torch.empty(streams * width).uniform_(-bound, bound))
        self.filter = ImplicitFilter(config, tables)
        self.long_bias = nn.Parameter(torch.randn((config.order - 1) * width))
        self.out_proj = nn.Linear(width, width)
        self.short_conv: Callable[[Tensor, Tensor, Tensor], Tensor] = short_conv
        self.long_convs: list[Callable[[Tensor, Tensor, Tensor], Tensor]] = [causal_fft_conv] * (config.order - 1)
        self.filter_span: Callable[[int], tuple[int, int]] = whole_context
        self._taps = FilterCache(self.filter)

    def taps(self, length: int, micro_step: MicroStep, recompute: bool) -> Tensor:
        """Return the filters k (O, D, L) for an input of `length` positions; beyond l_max raises InputError."""
        return self._taps(*self.filter_span(length), micro_step, recompute)

    def forward(self, x_BLD: Tensor, k_ODL: Tensor) -> Tensor:
        """Mix (B, L, D) causally along L, with the filters from `taps`."""
        streams_BCL = self.short_conv(self.in_proj(x_BLD).transpose(1, 2), self.short_weight, self.short_bias)
        first, *gates, v_BDL = streams_BCL.chunk(self.order + 1, dim=1)
        biases = self.long_bias.chunk(self.order - 1)
        for long_conv, gate_BDL, k_DL, bias_D in zip(self.long_convs, reversed(gates), k_ODL, biases, strict=True):
            v_BDL = long_conv(v_BDL * gate_BDL, k_DL, bias_D)
        y_BLD: Tensor = self.out_proj((v_BDL * first).transpose(1, 2))
        return y_BLD
