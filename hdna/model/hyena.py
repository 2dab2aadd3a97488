"""The Hyena operator: gates and long convolutions in place of attention.

Shapes: B batch, L context (or slice) length, T positions of a tile, D = d_model, G = order gates, O = order - 1 long
convolutions, C = (order + 1) * D channels of the projection.
Source: HyenaDNA (arXiv 2306.15794); Hyena (arXiv 2302.10866), definition 3.1.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdna.config.schema import ModelConfig
from hdna.model.filter import FilterTables, ImplicitFilter
from hdna.model.filter_cache import FilterCache, MicroStep
from hdna.model.norm import Norm
from hdna.model.recompute import is_recomputed
from hdna.ops import causal_fft_conv, gated_short_conv, kernels
from hdna.ops.short_conv import LEAD, REACH, TAPS
from hdna.ops.tiled import Piece, Tiling


def whole_context(length: int) -> tuple[int, int]:
    """Return the filter positions [0, length) of an unsliced input of this length."""
    return 0, length


class HyenaOperator(nn.Module):
    """Project to order + 1 streams, mix each over three positions, then alternate gates with long convolutions.

    For order 2: y = x0 · (k ∗ (x1 · v) + bias · (x1 · v)), with x0, x1 and v the three streams in this order.

    Three attributes are plain functions, so that `hdna.parallel` can replace them and this class needs no notion of
    ranks: `left_halo(end (B, C, 2))`, which turns the end of this input's projection into that of the positions before
    it (None: it starts the sequence); one of `long_convs` per long convolution, called with `(u (B, D, L), k (D, L),
    bias (D,))`; and `filter_span(L)`, the filter positions [start, stop) that the long convolutions get.
    """

    def __init__(self, config: ModelConfig, tables: FilterTables) -> None:
        super().__init__()
        self.width, streams, self.order = config.d_model, config.order + 1, config.order
        self.in_proj = nn.Linear(self.width, streams * self.width)
        # Both uniform within ±1/sqrt(taps), a convolution layer's default.
        bound = 1 / math.sqrt(TAPS)
        self.short_weight = nn.Parameter(torch.empty(streams * self.width, TAPS).uniform_(-bound, bound))
        self.short_bias = nn.Parameter(torch.empty(streams * self.width).uniform_(-bound, bound))
        self.filter = ImplicitFilter(config, tables)
        self.long_bias = nn.Parameter(torch.randn((config.order - 1) * self.width))
        self.out_proj = nn.Linear(self.width, self.width)
        self.left_halo: Callable[[Tensor], Tensor] | None = None
        self.long_convs: list[Callable[[Tensor, Tensor, Tensor], Tensor]] = [causal_fft_conv] * (config.order - 1)
        self.filter_span: Callable[[int], tuple[int, int]] = whole_context
        self._taps = FilterCache(self.filter)

    def taps(self, length: int, micro_step: MicroStep) -> Tensor:
        """Return the filters k (O, D, L) for an input of `length` positions; beyond l_max raises InputError."""
        return self._taps(*self.filter_span(length), micro_step)

    def forward(self, x_BLD: Tensor, norm: Norm, k_ODL: Tensor) -> Tensor:
        """Add to the residual stream (B, L, D) its norm mixed causally along L, with the filters from `taps`.

        Between the convolutions everything runs in tiles: kept for the backward pass are x, and the long convolutions'
        inputs and results, on a CPU all of what a single tile holds.
        """
        halo_BCH = self._halo(x_BLD, norm)
        v_BDL = self._gated(x_BLD, norm, halo_BCH, slice(self.order - 1, self.order + 1))
        biases = self.long_bias.chunk(self.order - 1)
        for number, (long_conv, k_DL, bias_D) in enumerate(zip(self.long_convs, k_ODL, biases, strict=True)):
            if number:
                gate = self.order - 1 - number
                v_BDL = self._gated(x_BLD, norm, halo_BCH, slice(gate, gate + 1), v_BDL)
            v_BDL = long_conv(v_BDL, k_DL, bias_D)
        return self._output(x_BLD, norm, halo_BCH, v_BDL)

    def _gated(
        self, x_BLD: Tensor, norm: Norm, halo_BCH: Tensor | None, streams: slice, beside_BDL: Tensor | None = None
    ) -> Tensor:
        """The product (B, D, L) of two streams, or of one and what is `beside` it."""
        channels = slice(streams.start * self.width, streams.stop * self.width)
        tiling = Tiling(norm.before(_gate), channels_first=True, lead=LEAD, keeps=not is_recomputed())
        halo = None if halo_BCH is None else halo_BCH[:, channels]
        return tiling(x_BLD, norm.weight, norm.bias, *self._stream(channels), beside=beside_BDL, halo=halo)

    def _output(self, x_BLD: Tensor, norm: Norm, halo_BCH: Tensor | None, v_BDL: Tensor) -> Tensor:
        """The residual stream plus the projection of the first stream times v."""
        channels = slice(0, self.width)
        tiling = Tiling(norm.before(_gate_by_position), lead=LEAD, into_residual=True, keeps=not is_recomputed())
        halo = None if halo_BCH is None else halo_BCH[:, channels]
        weights = (*self._stream(channels), self.out_proj.weight, self.out_proj.bias)
        return tiling(x_BLD, norm.weight, norm.bias, *weights, beside=v_BDL, halo=halo)

    def _stream(self, channels: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The parameters that make some channels of the streams."""
        projection = self.in_proj.weight[channels], self.in_proj.bias[channels]
        return *projection, self.short_weight[channels], self.short_bias[channels]

    def _halo(self, x_BLD: Tensor, norm: Norm) -> Tensor | None:
        """The projection of the two positions before this input, from whoever has them."""
        if self.left_halo is None:
            return None
        weights = norm.weight, norm.bias, self.in_proj.weight, self.in_proj.bias
        end_BHC = Tiling(norm.before(_projected), keeps=not is_recomputed())(x_BLD[:, -REACH:], *weights)
        return self.left_halo(end_BHC.transpose(1, 2))


def _projected(_: Piece, normed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(normed, weight, bias)


def _gate(
    piece: Piece, normed: Tensor, weight: Tensor, bias: Tensor, short_weight: Tensor, short_bias: Tensor
) -> Tensor:
    """Project, mix over three positions, multiply: (B, D, T), channels outermost in memory.

    The matrix product itself puts channels first: BLAS reads a transposed factor as fast as a plain one, and a copy of
    (B, L, C) to (B, C, L) took a quarter of a step on a GPU.
    """
    batch, length, width = normed.shape
    normed_DN = normed.reshape(-1, width).T
    # On a GPU `addmm` first writes the bias to all of its result, a pass that the kernel which reads p does without.
    fused = kernels.run_on(normed)
    p_CN = weight @ normed_DN if fused else torch.addmm(bias[:, None], weight, normed_DN)
    p_CBT = p_CN.view(len(weight), batch, length)
    beside = None if piece.beside is None else piece.beside.transpose(0, 1)
    halo = None if piece.halo is None else piece.halo.transpose(0, 1)
    shift = bias if fused else None
    return gated_short_conv(p_CBT, short_weight, short_bias, beside, halo, piece.lead, shift).transpose(0, 1)


def _gate_by_position(piece: Piece, normed: Tensor, *stream: Tensor) -> Tensor:
    """The same as (B, T, D), in the same memory."""
    return _gate(piece, normed, *stream).transpose(1, 2)
