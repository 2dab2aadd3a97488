"""The gated short convolution as Triton kernels: inputs are read once, results written once, the rest is in registers.

Shapes as in `short_conv`. The plain path makes about thirty passes over memory, which took half of a step on a GPU.
The same kernels run on a CPU through Triton's interpreter (TRITON_INTERPRET=1), for tests.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hdna.ops.kernels import by_position

_BLOCK = 1024


@triton.jit
def _at(row, shift, halo, position, length, HAS_HALO: tl.constexpr):  # noqa: ANN001, ANN202
    """A row's values in fp32, plus its shift; before it the halo's, or zero."""
    inside = (position >= 0) & (position < length)
    value = tl.load(row + position, mask=inside, other=0.0).to(tl.float32)
    value += tl.where(inside, tl.load(shift).to(tl.float32), 0.0)
    if HAS_HALO:
        before = (position < 0) & (position >= -2)
        value += tl.load(halo + position + 2, mask=before, other=0.0).to(tl.float32)
    return value


@triton.jit
def _convolved(row, shift, halo, weight, bias, position, length, HAS_HALO: tl.constexpr):  # noqa: ANN001, ANN202
    value = tl.load(bias) + tl.load(weight + 2) * _at(row, shift, halo, position, length, HAS_HALO)
    value += tl.load(weight + 1) * _at(row, shift, halo, position - 1, length, HAS_HALO)
    return value + tl.load(weight) * _at(row, shift, halo, position - 2, length, HAS_HALO)


@triton.jit
def _forward(  # noqa: ANN202
    p, shift, weight, bias, beside, halo, out,  # noqa: ANN001
    channels, batch, length, lead, p_c, p_b, beside_c, beside_b, halo_c, halo_b,  # noqa: ANN001
    PAIR: tl.constexpr, HAS_HALO: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    channel, sample = tl.program_id(0) // batch, (tl.program_id(0) % batch).to(tl.int64)
    wide = channel.to(tl.int64)
    t = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    result_length = length - lead
    row, edge = p + wide * p_c + sample * p_b, halo + wide * halo_c + sample * halo_b
    value = _convolved(row, shift + channel, edge, weight + channel * 3, bias + channel, t + lead, length, HAS_HALO)
    if PAIR:
        other = channel + channels
        row, edge = row + channels.to(tl.int64) * p_c, edge + channels * halo_c
        value *= _convolved(row, shift + other, edge, weight + other * 3, bias + other, t + lead, length, HAS_HALO)
    else:
        value *= tl.load(beside + wide * beside_c + sample * beside_b + t, mask=t < result_length, other=0.0).to(
            tl.float32
        )
    tl.store(out + (wide * batch + sample) * result_length + t, value.to(out.dtype.element_ty), mask=t < result_length)


@triton.jit
def _dy(  # noqa: ANN202
    gradient, row, shift, edge, weight, bias, beside, t, lead, length,  # noqa: ANN001
    PAIR: tl.constexpr, HAS_HALO: tl.constexpr,
):  # fmt: skip
    """The gradient of a convolved stream at t: the result's times the other factor, whose row and taps are given."""
    inside = (t >= 0) & (t < length - lead)
    g = tl.load(gradient + t, mask=inside, other=0.0).to(tl.float32)
    if PAIR:
        return tl.where(inside, g * _convolved(row, shift, edge, weight, bias, t + lead, length, HAS_HALO), 0.0)
    return g * tl.load(beside + t, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _backward(  # noqa: ANN202
    p, shift, weight, bias, beside, halo, gradient, dp, dbeside, sums,  # noqa: ANN001
    channels, batch, length, lead, p_c, p_b, beside_c, beside_b, halo_c, halo_b, g_c, g_b,  # noqa: ANN001
    PAIR: tl.constexpr, HAS_HALO: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """For a block of positions of one channel of p: its gradient, and shares of those of taps, bias and shift."""
    channel, sample = tl.program_id(0) // batch, (tl.program_id(0) % batch).to(tl.int64)
    own = channel.to(tl.int64)
    result, partner = own, own
    if PAIR:
        result = own % channels
        partner = tl.where(own < channels, own + channels, own - channels)
    position = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    t = position - lead
    row, edge = p + own * p_c + sample * p_b, halo + own * halo_c + sample * halo_b
    partner_row, partner_edge = p + partner * p_c + sample * p_b, halo + partner * halo_c + sample * halo_b
    g_row, factor = gradient + result * g_c + sample * g_b, beside + result * beside_c + sample * beside_b
    taps, constant, moved = weight + partner * 3, bias + partner, shift + partner
    dy0 = _dy(g_row, partner_row, moved, partner_edge, taps, constant, factor, t, lead, length, PAIR, HAS_HALO)
    dy1 = _dy(g_row, partner_row, moved, partner_edge, taps, constant, factor, t + 1, lead, length, PAIR, HAS_HALO)
    dy2 = _dy(g_row, partner_row, moved, partner_edge, taps, constant, factor, t + 2, lead, length, PAIR, HAS_HALO)
    value = tl.load(weight + own * 3 + 2) * dy0 + tl.load(weight + own * 3 + 1) * dy1 + tl.load(weight + own * 3) * dy2
    tl.store(dp + (own * batch + sample) * length + position, value.to(dp.dtype.element_ty), mask=position < length)
    share = sums + ((own * batch + sample) * tl.num_programs(1) + tl.program_id(1)) * 5
    tl.store(share, tl.sum(dy0 * _at(row, shift + own, edge, position - 2, length, HAS_HALO)))
    tl.store(share + 1, tl.sum(dy0 * _at(row, shift + own, edge, position - 1, length, HAS_HALO)))
    tl.store(share + 2, tl.sum(dy0 * _at(row, shift + own, edge, position, length, HAS_HALO)))
    tl.store(share + 3, tl.sum(dy0))
    tl.store(share + 4, tl.sum(tl.where(position < length, value, 0.0)))
    if not PAIR:
        inside = (t >= 0) & (position < length)
        y = _convolved(row, shift + own, edge, weight + own * 3, bias + own, position, length, HAS_HALO)
        y *= tl.load(g_row + t, mask=inside, other=0.0).to(tl.float32)
        tl.store(dbeside + (own * batch + sample) * (length - lead) + t, y.to(dbeside.dtype.element_ty), mask=inside)


def forward(
    p: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, beside: Tensor | None, halo: Tensor | None, lead: int
) -> Tensor:
    """The result (D, B, T) of `gated_short_conv`, in the dtype of p."""
    channels = len(p) // 2 if beside is None else len(p)
    batch, length = p.shape[1:]
    out = p.new_empty(channels, batch, length - lead)
    grid = (channels * batch, triton.cdiv(length - lead, _BLOCK))
    pointers, strides, kind = _arguments(p, shift, weight, bias, beside, halo)
    _forward[grid](*pointers, out, channels, batch, length, lead, *strides, **kind)
    return out


def backward(
    p: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    beside: Tensor | None,
    halo: Tensor | None,
    lead: int,
    gradient: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """The gradients of p, shift, weight, bias and `beside`."""
    gradient = by_position(gradient)
    batch, length = p.shape[1:]
    channels = len(p) // 2 if beside is None else len(p)
    dp = p.new_empty(p.shape)
    dbeside = None if beside is None else beside.new_empty(beside.shape)
    grid = (len(p) * batch, triton.cdiv(length, _BLOCK))
    sums = torch.empty(len(p), batch * grid[1], 5, dtype=torch.float32, device=p.device)
    (*inputs,), strides, kind = _arguments(p, shift, weight, bias, beside, halo)
    results = dp, dp if dbeside is None else dbeside, sums
    _backward[grid](
        *inputs, gradient, *results, channels, batch, length, lead, *strides, *gradient.stride()[:2], **kind
    )
    total = sums.sum(1)
    return dp, total[:, 4].to(shift.dtype), total[:, :3].to(weight.dtype), total[:, 3].to(bias.dtype), dbeside


def _arguments(
    p: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, beside: Tensor | None, halo: Tensor | None
) -> tuple[list[Tensor], list[int], dict[str, Any]]:
    """Tensors, strides of channels and samples, and what a kernel is compiled for."""
    assert p.stride(2) == 1 and weight.is_contiguous()
    other = p if beside is None else by_position(beside)
    edge = p if halo is None else halo.contiguous()
    strides = [stride for tensor in (p, other, edge) for stride in tensor.stride()[:2]]
    kind = {"PAIR": beside is None, "HAS_HALO": halo is not None, "BLOCK": _BLOCK}
    return [p, shift, weight, bias, other, edge], strides, kind
