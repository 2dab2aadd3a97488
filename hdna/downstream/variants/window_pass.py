"""The pass over a reference window that all its alleles share, kept where they need it.

Shapes: L window, S kept span, O long convolutions, D = d_model, V vocabulary rows, T positions of an allele, F
frequencies.

Kept of each block are its input x, the inputs u of its long convolutions and their results y: 4 (1 + 2 O) D bytes a
position and block in fp32, 4 D more for the gate of the first. Of a span of 1,024 positions and 2 blocks of 128
channels that is 3.7 MB; of 32,768 and 8 of 256, 840 MB.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.model import HyenaDNA
from hdna.model.backbone import Block
from hdna.model.filter_cache import MicroStep
from hdna.ops import gated_short_conv, padded_fft

LongConv = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class BlockPass:
    """What is kept of a block."""

    block: Block
    x_SD: Tensor
    u_ODS: list[Tensor]
    y_ODS: list[Tensor]
    taps_ODT: Tensor
    """Its filters as far as an allele reaches, the direct path among them: tap 0 has the bias."""
    spectra_ODF: Tensor
    """Of the taps, padded."""


@dataclass(frozen=True)
class WindowPass:
    """What is kept of a window, from `first` on."""

    first: int
    blocks: list[BlockPass]
    gate_DS: Tensor
    """The stream that the first block multiplies its last convolution with; not valid at the span's first two
    positions, unless the window begins there."""
    log_probabilities_SV: Tensor
    """Of the token after each position."""


def window_pass(model: HyenaDNA, tokens_L: Tensor, first: int, reach: int) -> WindowPass:
    """Run the model over int64 tokens (L,) and keep positions [first, L), and filters for `reach` positions."""
    x_BLD = model.embedding(tokens_L[None])
    blocks = []
    for block in model.backbone.blocks:
        assert isinstance(block, Block)
        operator = block.hyena
        taps_ODL = operator.taps(len(tokens_L), MicroStep())
        u_ODS: list[Tensor] = []
        y_ODS: list[Tensor] = []
        x_SD = x_BLD[0, first:].clone()
        with _replaced(block, [_keeping(conv, first, u_ODS, y_ODS) for conv in operator.long_convs]):
            x_BLD = block(x_BLD, taps_ODL)
        taps_ODT = taps_ODL[..., :reach].clone()
        taps_ODT[..., :1] += operator.long_bias.view(*taps_ODT.shape[:2], 1)
        spectra_ODF = padded_fft.spectrum(taps_ODT, padded_fft.size(max(1, reach)))
        blocks.append(BlockPass(block, x_SD, u_ODS, y_ODS, taps_ODT, spectra_ODF))
    return WindowPass(first, blocks, _gate(blocks[0]), log_probabilities(model, x_BLD[0, first:]))


def log_probabilities(model: HyenaDNA, x_SD: Tensor) -> Tensor:
    """Of the token after each position, (S, V), from the last block's output."""
    return torch.log_softmax(F.linear(model.backbone.norm(x_SD), model.embedding.weight), -1)


def _gate(kept: BlockPass) -> Tensor:
    operator, width = kept.block.hyena, kept.x_SD.shape[1]
    p_DS = F.linear(operator.in_proj.weight[:width], kept.block.hyena_norm(kept.x_SD))
    p_DS += operator.in_proj.bias[:width, None]
    stream_D1S = gated_short_conv(
        p_DS[:, None], operator.short_weight[:width], operator.short_bias[:width], torch.ones_like(p_DS[:, None])
    )
    return stream_D1S[:, 0]


@contextmanager
def _replaced(block: Block, long_convs: list[LongConv]) -> Iterator[None]:
    """Within, the block's operator has other long convolutions."""
    before = block.hyena.long_convs
    block.hyena.long_convs = long_convs
    try:
        yield
    finally:
        block.hyena.long_convs = before


def _keeping(conv: LongConv, first: int, u_ODS: list[Tensor], y_ODS: list[Tensor]) -> LongConv:
    """The same convolution, which also notes its input and result."""

    def convolve(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
        y_BDL = conv(u_BDL, k_DL, bias_D)
        u_ODS.append(u_BDL[0, :, first:].clone())
        y_ODS.append(y_BDL[0, :, first:].clone())
        return y_BDL

    return convolve
