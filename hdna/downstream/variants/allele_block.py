"""A block for alleles, from their input to it and what is kept of the reference's pass.

Shapes: R alleles, T positions of each, S kept span, O long convolutions, D = d_model, C = (order + 1) * D channels of
the projection, H = 2 positions before an allele, K first positions of a substitution where the streams differ.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.downstream.variants.window_pass import BlockPass
from hdna.model.backbone import Block
from hdna.ops import gated_short_conv, padded_fft
from hdna.ops.linear import linear, linear_gelu
from hdna.ops.short_conv import REACH


def through(kept: BlockPass, starts_R: Tensor, x_RTD: Tensor) -> Tensor:
    """The block's output (R, T, D) for alleles that start at places `starts` of the span."""
    order, length = kept.block.hyena.order, x_RTD.shape[1]
    streams = _Streams(kept, starts_R, x_RTD)
    v_DRT = streams.product(slice(order - 1, order + 1))
    for number, (u_DS, y_DS, k_DF) in enumerate(zip(kept.u_ODS, kept.y_ODS, kept.spectra_ODF, strict=True)):
        if number:
            v_DRT = streams.product(slice(order - 1 - number, order - number), v_DRT)
        n = padded_fft.size(length)
        spectrum_DRF = padded_fft.spectrum(v_DRT.sub_(_at(u_DS, starts_R, length)), n).mul_(k_DF[:, None])
        v_DRT = _at(y_DS, starts_R, length).add_(torch.fft.irfft(spectrum_DRF, n)[..., :length])
    return _mixed(kept.block, x_RTD, streams.product(slice(0, 1), v_DRT))


def through_first(kept: BlockPass, gate_DS: Tensor, starts_R: Tensor, x_RTD: Tensor, substituted: int) -> Tensor:
    """The same of the first block, of order 2, for alleles with as many tokens as they replace.

    Its input, and so its streams, differ at the first positions alone, its convolution by so many shifted filters.
    """
    length = x_RTD.shape[1]
    differ = min(substituted + REACH, length)
    streams = _Streams(kept, starts_R, x_RTD[:, :differ])
    du_DRK = streams.product(slice(1, 3)).sub_(_at(kept.u_ODS[0], starts_R, differ))
    shifted_DKT = F.pad(kept.taps_ODT[0], (differ - 1, 0)).unfold(-1, length, 1)
    y_DRT = torch.baddbmm(_at(kept.y_ODS[0], starts_R, length), du_DRK.flip(-1), shifted_DKT)
    gated_DRT = _at(gate_DS, starts_R, length).mul_(y_DRT)
    gated_DRT[..., :differ] = streams.product(slice(0, 1), y_DRT[..., :differ])
    return _mixed(kept.block, x_RTD, gated_DRT)


class _Streams:
    """The operator's streams for alleles."""

    def __init__(self, kept: BlockPass, starts_R: Tensor, x_RTD: Tensor) -> None:
        self._operator = operator = kept.block.hyena
        batch, length, width = x_RTD.shape
        norm, weight_CD = kept.block.hyena_norm, operator.in_proj.weight
        # The weight comes first, so that channels lie outermost in memory, as transforms and gates want them.
        self._p_CRT = linear(weight_CD, norm(x_RTD).view(-1, width)).view(-1, batch, length)
        before_RH = starts_R[:, None] + torch.arange(-REACH, 0, device=starts_R.device)
        halo_RHC = linear(norm(kept.x_SD[before_RH.clamp(min=0)]), weight_CD, operator.in_proj.bias)
        # Before the window there are zeros, not the projection of anything.
        self._halo_CRH = (halo_RHC * (before_RH >= 0)[..., None]).permute(2, 0, 1)

    def product(self, streams: slice, beside_DRT: Tensor | None = None) -> Tensor:
        """(D, R, T) of two streams, or of one and what is `beside` it."""
        operator = self._operator
        channels = slice(streams.start * operator.width, streams.stop * operator.width)
        return gated_short_conv(
            self._p_CRT[channels],
            operator.short_weight[channels],
            operator.short_bias[channels],
            beside_DRT,
            self._halo_CRH[channels],
            shift=operator.in_proj.bias[channels],
        )


def _mixed(block: Block, x_RTD: Tensor, gated_DRT: Tensor) -> Tensor:
    """The block's output from its input and the last product of its streams."""
    weight_DD, bias_D = block.hyena.out_proj.weight, block.hyena.out_proj.bias
    fc1, fc2 = block.mlp.fc1, block.mlp.fc2
    x_ND = linear(gated_DRT.flatten(1).T, weight_DD, bias_D).add_(x_RTD.view(-1, len(weight_DD)))
    hidden_NE = linear_gelu(block.mlp_norm(x_ND), fc1.weight, fc1.bias)
    return linear(hidden_NE, fc2.weight, fc2.bias).add_(x_ND).view(x_RTD.shape)


def _at(kept_DS: Tensor, starts_R: Tensor, length: int) -> Tensor:
    """What is kept where alleles are: (D, R, T)."""
    return kept_DS.unfold(-1, length, 1)[:, starts_R]
