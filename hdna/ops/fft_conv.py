"""Causal long convolution by FFT, with its own backward pass.

Shapes: B batch, D channels, E channels of one block, L context length, N FFT size, F = N // 2 + 1 frequencies.

It differs from `irfft(rfft(u) * rfft(k))` under autograd in three ways: the FFT size is the next smooth number from
2L - 1 up (any such size is exact; 2L may have a large prime factor and be several times slower); the backward pass uses
real transforms (autograd runs the adjoint of rfft as a full complex one); and it keeps u and k rather than their
spectra, which are four times as large in bf16 and twice in fp32.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.fft import irfft, rfft

CPU_BUFFER_BYTES = 8 * 2**20
"""Largest working buffer on a CPU. A buffer of E channels, R samples and N points takes R * E * N * 4 bytes (N real
fp32 numbers, or N / 2 complex ones). glibc's malloc serves requests above 32 MiB by a fresh mmap whose pages fault in
again on every call: 351 ms against 214 at B = 1, D = 32, L = 131072 with blocks of 64 and 8 MiB. 8 MiB also keeps more
in cache. Example: B = 8, L = 8192 gives N = 16384, so a channel takes 512 KiB and a block has 16 of them."""

CUDA_BUFFER_BYTES = 256 * 2**20
"""Largest working buffer on an accelerator, whose allocator caches any size: enough rows to fill the device, while
the four or so live buffers stay near 1 GiB at a context of a million."""


def smooth_size(n: int) -> int:
    """Return the smallest FFT size 2^a * {1, 3, 5, 9, 15} of at least n (n >= 1)."""
    return min(m << max(0, (-(-n // m) - 1).bit_length()) for m in (1, 3, 5, 9, 15))


def causal_fft_conv(u: Tensor, k: Tensor, bias: Tensor) -> Tensor:
    """Convolve each channel causally with its own filter and add a scaled copy of the input.

    y[b, d, t] = sum over s <= t of k[d, t - s] * u[b, d, s]  +  bias[d] * u[b, d, t]

    Args:
        u: (B, D, L) input, any floating dtype.
        k: (D, L) filters, as long as the input.
        bias: (D,) weight of the direct path.

    Returns:
        y (B, D, L) in the dtype of u. Inside, everything is fp32 (fp64 where u is), autocast or not.

    Raises:
        ValueError: the shapes do not match.

    Gradients of the three arguments are exact, but not themselves differentiable.

    """
    if u.ndim != 3 or k.shape != u.shape[1:] or bias.shape != u.shape[1:2]:
        raise ValueError(f"shapes (B, D, L), (D, L), (D,) wanted, got {[tuple(x.shape) for x in (u, k, bias)]}")
    with torch.autocast(u.device.type, enabled=False):
        y_BDL: Tensor = _CausalFFTConv.apply(u, k, bias)  # type: ignore[no-untyped-call]
    return y_BDL


def _blocks(u_BDL: Tensor, row_bytes: int) -> Iterator[tuple[slice, list[slice]]]:
    """Yield blocks of channels, each with its blocks of samples, whose buffers stay within the device's cap."""
    batch, channels, _ = u_BDL.shape
    cap = CPU_BUFFER_BYTES if u_BDL.device.type == "cpu" else CUDA_BUFFER_BYTES
    rows = max(1, cap // row_bytes)
    samples = max(1, min(batch, rows))
    width = max(1, rows // samples)
    sample_blocks = [slice(b, b + samples) for b in range(0, batch, samples)]
    for d in range(0, channels, width):
        yield slice(d, d + width), sample_blocks


class _CausalFFTConv(torch.autograd.Function):
    """The two passes below, as autograd sees them."""

    @staticmethod
    def forward(ctx: Any, u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(u_BDL, k_DL, bias_D)
        return convolve(u_BDL, k_DL, bias_D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BDL: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        u_BDL, k_DL, bias_D = ctx.saved_tensors
        return correlate(u_BDL, k_DL, bias_D, dy_BDL, ctx.needs_input_grad)


def convolve(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
    """The forward pass outside autograd, for callers with their own backward pass.

    A filter's spectrum is computed once per block of channels.
    """
    length = u_BDL.shape[-1]
    n = smooth_size(2 * length - 1)
    y_BDL, padded = torch.empty_like(u_BDL), _Padded(u_BDL, n)
    for d, sample_blocks in _blocks(u_BDL, n * padded.dtype.itemsize):
        k_EF, bias_E1 = rfft(padded(k_DL[d]), n), bias_D[d].to(padded.dtype)[:, None]
        for b in sample_blocks:
            u_BEN = padded(u_BDL[b, d])
            y_BEL = irfft(rfft(u_BEN, n).mul_(k_EF), n)[..., :length]
            y_BDL[b, d] = y_BEL.addcmul_(bias_E1, u_BEN[..., :length])
    return y_BDL


def correlate(
    u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor, dy_BDL: Tensor, needed: Sequence[bool] = (True, True, True)
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The `needed` gradients of u, k and bias, from dy, the gradient of `convolve`'s result.

    du = k ⋆ dy + bias · dy, dk = sum over samples of u ⋆ dy, dbias = sum of u · dy.
    """
    length = u_BDL.shape[-1]
    n = smooth_size(2 * length - 1)
    du, dk, dbias = (
        torch.empty_like(x) if wanted else None for x, wanted in zip((u_BDL, k_DL, bias_D), needed, strict=True)
    )
    padded_u, padded_dy = _Padded(u_BDL, n), _Padded(u_BDL, n)
    for d, sample_blocks in _blocks(u_BDL, n * padded_u.dtype.itemsize):
        k_EF = rfft(padded_u(k_DL[d]), n).conj_physical_() if du is not None else None
        bias_E1 = bias_D[d].to(padded_u.dtype)[:, None]
        dk_parts, dbias_parts = [], []
        for b in sample_blocks:
            u_BEN, dy_BEN = padded_u(u_BDL[b, d]), padded_dy(dy_BDL[b, d])
            dy_BEF = rfft(dy_BEN, n)
            if dbias is not None:
                dbias_parts.append((u_BEN[..., :length] * dy_BEN[..., :length]).sum((0, 2)))
            if dk is not None:
                # Samples are added as spectra, so the filter's gradient needs one inverse transform per channel.
                dk_parts.append(rfft(u_BEN, n).conj_physical_().mul_(dy_BEF).sum(0))
            if du is not None:
                du_BEL = irfft(dy_BEF.mul_(k_EF), n)[..., :length]
                du[b, d] = du_BEL.addcmul_(bias_E1, dy_BEN[..., :length])
        if dk is not None:
            dk[d] = irfft(_sum(dk_parts), n)[..., :length]
        if dbias is not None:
            dbias[d] = _sum(dbias_parts)
    return du, dk, dbias


class _Padded:
    """Makes a block of signals ready for transforms of size n, in the working precision.

    On a GPU in room whose zeros behind the signals are written once: left to `rfft`, each block is converted, filled
    with zeros and copied, three passes over memory instead of one. On a CPU `rfft` pads in cache, which is faster.
    """

    def __init__(self, like: Tensor, n: int) -> None:
        self.dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        self._n, self._device = n, like.device
        self._room = torch.empty(0, dtype=self.dtype, device=like.device)

    def __call__(self, signals: Tensor) -> Tensor:
        """The signals (..., L) as (..., L or n); the next call overwrites them."""
        if self._device.type == "cpu":
            return signals.to(self.dtype)
        rows, length = signals.shape[:-1].numel(), signals.shape[-1]
        if rows * self._n > self._room.numel():
            self._room = torch.empty(rows * self._n, dtype=self.dtype, device=self._device)
            self._room.view(rows, self._n)[:, length:] = 0
        room = self._room[: rows * self._n].view(*signals.shape[:-1], self._n)
        room[..., :length] = signals
        return room


def _sum(parts: list[Tensor]) -> Tensor:
    """Add up the sample blocks' shares; usually there is one."""
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
