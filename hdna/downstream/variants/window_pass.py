"""The pass over a reference window that all its alleles share, kept where they need it.

Shapes: L window, S kept span, O long convolutions, D = d_model, C = (order + 1) * D channels of the projection,
V vocabulary rows, T positions of an allele.

Kept of each block are its input x, the inputs u of its long convolutions and their results y:
4 (1 + 2 O) D bytes a position and block in fp32.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from hdna.model import HyenaDNA
from hdna.model.backbone import Block
from hdna.model.filter_cache import MicroStep
from hdna.model.hyena import HyenaOperator

LongConv = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class BlockPass:
    """What is kept of a block."""

    block: Block
    x_SD: Tensor
    u_ODS: list[Tensor]
    y_ODS: list[Tensor]
    taps_ODT: Tensor
    """Its filters as far as an allele reaches."""


@dataclass(frozen=True)
class WindowPass:
    """What is kept of a window, from `first` on."""

    first: int
    blocks: list[BlockPass]
    logits_SV: Tensor


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
        convs = [_keeping(conv, first, u_ODS, y_ODS) for conv in operator.long_convs]
        x_SD = x_BLD[0, first:].clone()
        with replaced(operator, operator.left_halo, convs):
            x_BLD = block(x_BLD, taps_ODL)
        blocks.append(BlockPass(block, x_SD, u_ODS, y_ODS, taps_ODL[..., :reach].clone()))
    return WindowPass(first, blocks, head(model, x_BLD[0, first:]))


def head(model: HyenaDNA, x_SD: Tensor) -> Tensor:
    """Logits of the token after each position of the last block's output."""
    logits_SV: Tensor = torch.nn.functional.linear(model.backbone.norm(x_SD), model.embedding.weight)
    return logits_SV


@contextmanager
def replaced(
    operator: HyenaOperator, left_halo: Callable[[Tensor], Tensor] | None, long_convs: list[LongConv]
) -> Iterator[None]:
    """Within, the operator has another halo and other long convolutions."""
    before = operator.left_halo, operator.long_convs
    operator.left_halo, operator.long_convs = left_halo, long_convs
    try:
        yield
    finally:
        operator.left_halo, operator.long_convs = before


def _keeping(conv: LongConv, first: int, u_ODS: list[Tensor], y_ODS: list[Tensor]) -> LongConv:
    def convolve(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
        y_BDL = conv(u_BDL, k_DL, bias_D)
        u_ODS.append(u_BDL[0, :, first:].clone())
        y_ODS.append(y_BDL[0, :, first:].clone())
        return y_BDL

    return convolve
