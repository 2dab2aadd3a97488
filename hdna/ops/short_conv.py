"""Depthwise causal convolution over three positions, and the product that a gate takes of it.

Shapes: C channels, D = C / 2 or C, B batch, T positions, T' = T + lead, channels outermost in memory.

y[c, b, t] = bias[c] + sum over j < 3 of weight[c, j] · p[c, b, t - 2 + j]

Three shifted multiply-adds in a tile that fits the cache: a general depthwise convolution took 14 % of a step, most of
it in its backward pass.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.ops import kernels

TAPS = 3
REACH = TAPS - 1
LEAD = 8
"""Positions before a piece's own that its projection includes: REACH would do, but rows of a length that is no multiple
of 8 send cuBLAS in bf16 to a kernel of half the speed (71 against 34 ms of a step of a million tokens on an H200)."""


def gated_short_conv(
    p: Tensor,
    weight: Tensor,
    bias: Tensor,
    beside: Tensor | None = None,
    halo: Tensor | None = None,
    lead: int = 0,
    shift: Tensor | None = None,
) -> Tensor:
    """The short convolution of p, times `beside`; without it, the product of its two halves of channels.

    Args:
        p: (C, B, T') projected streams; the first `lead` positions lie before the result's.
        weight: (C, 3) taps, the last of which weights the current position.
        bias: (C,) constant added to each channel.
        beside: (C, B, T) the other factor.
        halo: (C, B, 2) positions before p; None means zeros: p starts the sequence. Not with a lead.
        lead: 0, or REACH and more.
        shift: (C,) constant to add to p first, but not to the halo: the bias of a projection that left it out.

    Returns:
        (D, B, T) in the dtype of p; the arithmetic is fp32 (fp64 where p is).

    """
    if shift is None or not kernels.run_on(p):
        p, shift = p if shift is None else (p + shift[:, None, None]).to(p.dtype), torch.zeros_like(bias)
    if torch.compiler.is_compiling():
        return _product(_convolved(p, weight, bias, halo, lead), beside).to(p.dtype)
    result: Tensor = _Gated.apply(p, weight, bias, beside, halo, lead, shift)  # type: ignore[no-untyped-call]
    return result


class _Gated(torch.autograd.Function):
    """Both passes."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        p: Tensor,
        weight: Tensor,
        bias: Tensor,
        beside: Tensor | None,
        halo: Tensor | None,
        lead: int,
        shift: Tensor,
    ) -> Tensor:
        ctx.lead = lead
        if kernel := _kernels(p):
            ctx.save_for_backward(p, weight, bias, beside, halo, shift)
            fused: Tensor = kernel.forward(p, shift, weight, bias, beside, halo, lead)
            return fused
        y = _convolved(p, weight, bias, halo, lead)
        ctx.save_for_backward(p, weight, bias, beside, halo, y)
        return _product(y, beside).to(p.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        p, weight, bias, beside, halo, *kept = ctx.saved_tensors
        if kernel := _kernels(p):
            (shift,) = kept
            dp, dshift, dweight, dbias, dbeside = kernel.backward(
                p, shift, weight, bias, beside, halo, ctx.lead, gradient
            )
            dhalo = _halo_gradient(p, shift, weight, bias, beside, halo, gradient)
            return dp, dweight, dbias, dbeside, dhalo, None, dshift
        (y,) = kept
        dy = _gradient_of_streams(y, beside, gradient)
        dp, dweight, dhalo = _transposed(p, weight, dy, halo, ctx.lead)
        dbeside = None if beside is None else (gradient * y).to(beside.dtype)
        return dp, dweight, dy.sum((1, 2)), dbeside, dhalo, None, None


def _product(y: Tensor, beside: Tensor | None) -> Tensor:
    first, second = y.chunk(2) if beside is None else (y, beside)
    return first * second


def _kernels(p: Tensor) -> ModuleType | None:
    """The kernels, where they run."""
    if not kernels.run_on(p):
        return None
    from hdna.ops.kernels import short_conv

    return short_conv


def _halo_gradient(
    p: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    beside: Tensor | None,
    halo: Tensor | None,
    gradient: Tensor,
) -> Tensor | None:
    """The plain path's, from the only positions that see the halo."""
    if halo is None:
        return None
    p, gradient = p[..., :REACH] + shift[:, None, None], gradient[..., :REACH]
    first = None if beside is None else beside[..., :REACH]
    dy = _gradient_of_streams(_convolved(p, weight, bias, halo, 0), first, gradient)
    return _transposed(p, weight, dy, halo, 0)[2]


def _gradient_of_streams(y: Tensor, beside: Tensor | None, gradient: Tensor) -> Tensor:
    """Of each convolved stream: the other factor of the product times the result's gradient."""
    if beside is not None:
        return gradient * beside.to(y.dtype)
    dy = torch.empty_like(y)
    (first, second), (dfirst, dsecond) = y.chunk(2), dy.chunk(2)
    torch.mul(gradient, second, out=dfirst)
    torch.mul(gradient, first, out=dsecond)
    return dy


def _convolved(p: Tensor, weight: Tensor, bias: Tensor, halo: Tensor | None, lead: int) -> Tensor:
    p, (w0, w1, w2) = _work(p), _taps(weight)
    y = torch.addcmul(bias[:, None, None], p[..., lead:], w2)
    if lead:
        return y.addcmul_(p[..., lead - 1 : -1], w1).addcmul_(p[..., lead - 2 : -2], w0)
    y[..., 1:].addcmul_(p[..., :-1], w1)
    y[..., 2:].addcmul_(p[..., :-2], w0)
    if halo is not None:
        y[..., :1].addcmul_(halo[..., 1:], w1)
        y[..., :2].addcmul_(halo[..., : y.shape[-1]], w0)
    return y


def _transposed(
    p: Tensor, weight: Tensor, dy: Tensor, halo: Tensor | None, lead: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of p, the taps and the halo."""
    (w0, w1, w2), wide = _taps(weight), _work(p)
    dp = torch.empty_like(wide)
    torch.mul(dy, w2, out=dp[..., lead:])
    if lead:
        dp[..., :lead] = 0
        dp[..., lead - 1 : -1].addcmul_(dy, w1)
        dp[..., lead - 2 : -2].addcmul_(dy, w0)
        first, length = lead - REACH, dy.shape[-1]
        shifted = [_dots(dy, wide[..., first + j : first + j + length]).sum(1) for j in range(TAPS)]
        return dp.to(p.dtype), torch.stack(shifted, dim=1), None
    dp[..., :-1].addcmul_(dy[..., 1:], w1)
    dp[..., :-2].addcmul_(dy[..., 2:], w0)
    length = dy.shape[-1]
    shifted = [_dots(dy[..., REACH - j :], wide[..., : max(0, length - (REACH - j))]).sum(1) for j in range(TAPS)]
    dhalo = None
    if halo is not None:
        length = min(REACH, length)
        dhalo = torch.zeros(halo.shape, dtype=dy.dtype, device=dy.device)
        dhalo[..., :length].addcmul_(dy[..., :length], w0)
        dhalo[..., 1:].addcmul_(dy[..., :1], w1)
        shifted[0] = shifted[0] + _dots(dy[..., :length], halo[..., :length].to(dy.dtype)).sum(1)
        shifted[1] = shifted[1] + _dots(dy[..., :1], halo[..., 1:].to(dy.dtype)).sum(1)
        dhalo = dhalo.to(halo.dtype)
    return dp.to(p.dtype), torch.stack(shifted, dim=1), dhalo


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """The sum of products over the last dimension of two tensors of one shape (..., N): (...).

    On a CPU by a batched matrix product, in a thirteenth of the time of a product and a sum over it (125 against
    1,640 µs for 256 rows of 2,048 on two threads). On a GPU that would use one multiprocessor for a row.
    """
    if a.device.type != "cpu":
        return (a * b).sum(-1)
    rows, length = a.shape[:-1].numel(), a.shape[-1]
    return torch.bmm(a.reshape(rows, 1, length), b.reshape(rows, length, 1)).view(a.shape[:-1])


def _taps(weight: Tensor) -> tuple[Tensor, ...]:
    """Each tap as (C, 1, 1)."""
    return weight[:, :, None, None].unbind(1)


def _work(p: Tensor) -> Tensor:
    """P in fp32, or fp64."""
    return p if p.dtype == torch.float64 else p.float()
