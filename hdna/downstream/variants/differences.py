"""Alleles by differences from one pass over their window: exact, at a cost that does not depend on the context.

Shapes: L window, S kept span, E edits, R rows of a batch, A horizon, T = A - 1 positions of an allele that are inputs,
O long convolutions, D = d_model, C = (order + 1) * D channels, V vocabulary rows.

The model is causal: an edit at v changes hidden states only from v on. Block after block, an allele therefore needs
positions [v, v + T) alone: the short convolution takes the two positions before them from the reference, and of a
long convolution y_alternative = y_reference + k * (u_alternative - u_reference), where the difference is zero before
v, so that k is needed on [0, T) and a transform of 2T points is exact. All else is per position.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.downstream.metrics import Floats
from hdna.downstream.variants.edits import Edit, Tokens, compared
from hdna.downstream.variants.likelihood import log_likelihood
from hdna.downstream.variants.window_pass import BlockPass, LongConv, WindowPass, head, replaced, window_pass
from hdna.model import HyenaDNA
from hdna.ops import causal_fft_conv
from hdna.ops.short_conv import REACH

CPU_POSITIONS, CUDA_POSITIONS = 2**13, 2**16
"""Of all alleles of a batch: as many as a tile of the model has, so that one is computed in cache."""


def by_differences(model: HyenaDNA, window_L: Tokens, edits: Sequence[Edit], horizon: int) -> tuple[Floats, Floats]:
    """Log likelihoods (E,) in nats of the reference and of each edit over `horizon` tokens from the edit on.

    The same figures as `by_full_pass`, by one pass over the window for all edits.

    Args:
        model: in eval mode, on one device; no other thread may use it meanwhile.
        window_L: tokens, up to one more than the model's l_max, with as much after each edit as `Edit.stop` says.
        edits: at any positions, each on its own.
        horizon: tokens scored, from the first one that an edit replaces on.

    Raises ValueError when an edit does not fit (`compared`), InputError when the window is longer than the model's
    context.

    """
    device = model.embedding.weight.device
    targets = compared(window_L, edits, horizon, device)
    if not edits:
        return np.zeros(0), np.zeros(0)
    first = max(0, int(targets.starts_E.min()) - REACH)
    stop = int(targets.starts_E.max()) + horizon - 1
    rows = max(1, (CPU_POSITIONS if device.type == "cpu" else CUDA_POSITIONS) // horizon)
    found: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        kept = window_pass(model, torch.from_numpy(window_L[:stop].astype(np.int64)).to(device), first, horizon - 1)
        for begin in range(0, len(edits), rows):
            some = targets[begin : begin + rows]
            before_RA = some.starts_E[:, None] - first + torch.arange(-1, horizon - 1, device=device)
            reference_RAV = kept.logits_SV[before_RA]
            found.append(
                (
                    log_likelihood(reference_RAV, some.reference_EA, some.counted_EA),
                    log_likelihood(
                        _alternative(model, kept, before_RA, some.alternative_EA), some.alternative_EA, some.counted_EA
                    ),
                )
            )
    reference_E, alternative_E = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return reference_E, alternative_E


def _alternative(model: HyenaDNA, kept: WindowPass, before_RA: Tensor, tokens_RA: Tensor) -> Tensor:
    """Logits (R, A, V) before each of an allele's tokens (R, A), which stand after places `before_RA` of the span."""
    unchanged_R1V = kept.logits_SV[before_RA[:, :1]]
    if tokens_RA.shape[1] == 1:
        return unchanged_R1V
    places_RT = before_RA[:, 1:]
    x_RTD = model.embedding(tokens_RA[:, :-1])
    for block in kept.blocks:
        x_RTD = _through(block, kept.first, places_RT, x_RTD)
    return torch.cat([unchanged_R1V, head(model, x_RTD)], 1)


def _through(kept: BlockPass, first: int, places_RT: Tensor, x_RTD: Tensor) -> Tensor:
    """A block's output for alleles, from its input."""
    convs = [_from_reference(u[:, places_RT], y[:, places_RT]) for u, y in zip(kept.u_ODS, kept.y_ODS, strict=True)]
    halo_RCH = _halo(kept, first, places_RT[:, :1])
    with replaced(kept.block.hyena, lambda _: halo_RCH, convs):
        y_RTD: Tensor = kept.block(x_RTD, kept.taps_ODT)
    return y_RTD


def _from_reference(u_DRT: Tensor, y_DRT: Tensor) -> LongConv:
    def convolve(u_RDT: Tensor, k_DT: Tensor, bias_D: Tensor) -> Tensor:
        return y_DRT.transpose(0, 1) + causal_fft_conv(u_RDT - u_DRT.transpose(0, 1), k_DT, bias_D)

    return convolve


def _halo(kept: BlockPass, first: int, places_R1: Tensor) -> Tensor:
    """The projection (R, C, 2) of the two positions before each allele; zeros before the window."""
    before_RH = places_R1 + torch.arange(-REACH, 0, device=places_R1.device)
    operator, norm = kept.block.hyena, kept.block.hyena_norm
    normed_RHD = norm(kept.x_SD[before_RH.clamp(min=0)])
    p_RHC = F.linear(normed_RHD, operator.in_proj.weight, operator.in_proj.bias)
    return (p_RHC * (before_RH + first >= 0)[..., None]).transpose(1, 2)
