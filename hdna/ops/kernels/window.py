"""The window of a filter as a Triton kernel: five passes over the taps of a tile become one.

Shapes: C channels, T positions.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit
def _windowed(taps, time, decay, out, shift, positions, time_stride, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202
    channel, t = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = t < positions
    window = tl.exp(-tl.load(time + t.to(tl.int64) * time_stride, mask=inside, other=0.0) * tl.load(decay + channel))
    place = channel.to(tl.int64) * positions + t
    tl.store(out + place, tl.load(taps + place, mask=inside, other=0.0) * (window + shift), mask=inside)


def windowed(taps: Tensor, time: Tensor, decay: Tensor, shift: float) -> Tensor:
    """Taps (C, T) times exp(-time (T,) · decay (C,)) + shift, in fp32."""
    taps, out = taps.contiguous(), torch.empty_like(taps, memory_format=torch.contiguous_format)
    channels, positions = taps.shape
    grid = channels, triton.cdiv(positions, _BLOCK)
    _windowed[grid](taps, time, decay, out, shift, positions, time.stride(0), BLOCK=_BLOCK)
    return out
