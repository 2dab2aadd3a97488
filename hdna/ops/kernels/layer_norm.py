"""LayerNorm as Triton kernels: one pass over memory forward, one backward.

Shapes: N rows, D channels. Torch's kernels reach a fifth to a third of an H200's memory rate at widths of 128 and 256,
and took a quarter of a step of short samples.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_ELEMENTS = 4096
"""Numbers of a block of rows, which stay in registers."""
_PROGRAMS = 1024
"""Programs of the backward pass, each with its own sums for the gradients of weight and bias: several on each of a
hundred or so multiprocessors, few enough for the sums over them to cost nothing."""


@triton.jit
def _normed(x, row, column, rows, width, eps):  # noqa: ANN001, ANN202
    """Rows of x, centred and scaled to unit variance; 1 / standard deviation; which elements there are."""
    there = (row[:, None] < rows) & (column[None, :] < width)
    value = tl.load(x + row[:, None].to(tl.int64) * width + column[None, :], mask=there, other=0.0).to(tl.float32)
    centred = tl.where(there, value - (tl.sum(value, axis=1) / width)[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / width + eps)
    return centred * scale[:, None], scale, there


@triton.jit
def _forward(x, weight, bias, out, rows, width, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr):  # noqa: ANN001, ANN202
    row, column = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    normed, _, there = _normed(x, row, column, rows, width, eps)
    inside = column < width
    value = normed * tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    value += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    place = out + row[:, None].to(tl.int64) * width + column[None, :]
    tl.store(place, value.to(out.dtype.element_ty), mask=there)


@triton.jit
def _backward(  # noqa: ANN202
    x, weight, gradient, dx, sums, rows, width, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr  # noqa: ANN001
):  # fmt: skip
    """A program's share of the rows: dx, and sums over them for the gradients of weight and bias."""
    column = tl.arange(0, WIDTH)
    inside = column < width
    scale_D = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    dweight, dbias = tl.zeros([WIDTH], dtype=tl.float32), tl.zeros([WIDTH], dtype=tl.float32)
    first = tl.program_id(0) * ROWS
    while first < rows:
        row = first + tl.arange(0, ROWS)
        normed, scale, there = _normed(x, row, column, rows, width, eps)
        place = row[:, None].to(tl.int64) * width + column[None, :]
        g = tl.load(gradient + place, mask=there, other=0.0).to(tl.float32)
        dweight += tl.sum(g * normed, axis=0)
        dbias += tl.sum(g, axis=0)
        g *= scale_D[None, :]
        along, mean = tl.sum(g * normed, axis=1) / width, tl.sum(g, axis=1) / width
        value = (g - normed * along[:, None] - mean[:, None]) * scale[:, None]
        tl.store(dx + place, value.to(dx.dtype.element_ty), mask=there)
        first += tl.num_programs(0) * ROWS
    share = sums + tl.program_id(0) * 2 * width + column
    tl.store(share, dweight, mask=inside)
    tl.store(share + width, dbias, mask=inside)


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """The norm over the last dimension, rounded once to `dtype`."""
    x = x.contiguous()
    rows, width, block = _block(x)
    out = torch.empty_like(x, dtype=dtype)
    if rows:
        _forward[(triton.cdiv(rows, block["ROWS"]),)](x, weight, bias, out, rows, width, eps, **block)
    return out


def backward(x: Tensor, weight: Tensor, eps: float, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weight and bias; mean and variance are computed again, from the x that is read anyway."""
    x = x.contiguous()
    rows, width, block = _block(x)
    dx = torch.empty_like(x)
    programs = max(1, min(_PROGRAMS, triton.cdiv(rows, block["ROWS"])))
    sums = torch.empty(programs, 2, width, dtype=torch.float32, device=x.device)
    _backward[(programs,)](x, weight, gradient.contiguous(), dx, sums, rows, width, eps, **block)
    dweight, dbias = sums.sum(0).to(weight.dtype)
    return dx, dweight, dbias


def _block(x: Tensor) -> tuple[int, int, dict[str, int]]:
    """Rows and width of x, and the powers of two that a block has of each."""
    width = x.shape[-1]
    wide = triton.next_power_of_2(width)
    return x.numel() // width, width, {"ROWS": max(1, _ELEMENTS // wide), "WIDTH": wide}
