"""Causal long convolution by FFT, with its own backward pass.

Shapes: B batch, D channels, E channels of one block, L context length, F frequencies.

It differs from `irfft(rfft(u) * rfft(k))` under autograd in three ways: the FFT size is a smooth number (2L may have a
large prime factor and be several times slower); the backward pass uses transforms like the forward's (autograd runs the
adjoint of rfft as a full complex one); and it keeps u and k rather than their spectra, which are four times as large in
bf16 and twice in fp32.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from hdna.ops import kernels, padded_fft

CPU_BUFFER_BYTES = 16 * 2**20
"""Largest working buffer on a CPU. A buffer of E channels, R samples and N points takes R * E * N * 4 bytes (N real
fp32 numbers, or N / 2 complex ones). glibc's malloc, left as it is, serves requests above 32 MiB by a fresh mmap whose
pages fault in again on every call: 1,007 ms with buffers of 64 MiB against 587 with 16 at B = 1, D = 128, L = 131,072,
forward and backward. Told to keep freed memory, 529 with 16 and 624 with 8, where FFTs of few rows at a time leave a
thread idle. Example: B = 8, L = 8192 gives N = 16384, so a channel takes 512 KiB and a block has 32 of them."""

CUDA_BUFFER_BYTES = 256 * 2**20
"""Largest working buffer on an accelerator, whose allocator caches any size: enough rows to fill the device, while
the four or so live buffers stay near 1 GiB at a context of a million."""


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
        y_BDL: Tensor = _long_conv(u, k, bias)
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


def convolve(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
    """The forward pass outside autograd, for callers with their own backward pass.

    A filter's spectrum is computed once per block of channels.
    """
    fft, y_BDL = _transforms(u_BDL), torch.empty_like(u_BDL)
    n = fft.size(u_BDL.shape[-1])
    for d, sample_blocks in _blocks(u_BDL, fft.row_bytes(n, u_BDL.dtype)):
        k_EF = fft.spectrum(k_DL[d], n)
        for b in sample_blocks:
            u_BEF = fft.spectrum(u_BDL[b, d], n)
            fft.multiply(u_BEF, k_EF)
            fft.write(y_BDL[b, d], u_BEF, n, u_BDL[b, d], bias_D[d])
    return y_BDL


def correlate(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor, dy_BDL: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of u, k and bias, from dy, the gradient of `convolve`'s result.

    du = k ⋆ dy + bias · dy, dk = sum over samples of u ⋆ dy, dbias = sum of u · dy.
    """
    fft, (du, dk, dbias) = _transforms(u_BDL), map(torch.empty_like, (u_BDL, k_DL, bias_D))
    if not len(u_BDL):
        return du, dk.zero_(), dbias.zero_()
    n = fft.size(u_BDL.shape[-1])
    for d, sample_blocks in _blocks(u_BDL, fft.row_bytes(n, u_BDL.dtype)):
        k_EF = fft.spectrum(k_DL[d], n)
        dk_parts, dbias_parts = [], []
        for b in sample_blocks:
            u_BEL, dy_BEL = u_BDL[b, d], dy_BDL[b, d]
            dbias_parts.append(fft.dots(u_BEL, dy_BEL))
            dy_BEF = fft.spectrum(dy_BEL, n)
            dk_parts.append(fft.correlate(fft.spectrum(u_BEL, n), dy_BEF, k_EF))
            fft.write(du[b, d], dy_BEF, n, dy_BEL, bias_D[d])
        fft.write(dk[d], _sum(dk_parts), n)
        dbias[d] = _sum(dbias_parts)
    return du, dk, dbias


@torch.library.custom_op("hdna::causal_fft_conv", mutates_args=())
def _long_conv(u: Tensor, k: Tensor, bias: Tensor) -> Tensor:
    """`convolve` as an operator, which torch.compile and torch.export take as it is."""
    return convolve(u, k, bias)


@torch.library.custom_op("hdna::causal_fft_conv_backward", mutates_args=())
def _long_conv_backward(u: Tensor, k: Tensor, bias: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return correlate(u, k, bias, dy)


@_long_conv.register_fake
def _(u: Tensor, k: Tensor, bias: Tensor) -> Tensor:
    return torch.empty_like(u)


@_long_conv_backward.register_fake
def _(u: Tensor, k: Tensor, bias: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(k), torch.empty_like(bias)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ANN401
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
    return tuple(_long_conv_backward(*ctx.saved_tensors, dy))


_long_conv.register_autograd(_gradients, setup_context=_keep)


def _transforms(u_BDL: Tensor) -> ModuleType:
    """What takes signals to spectra and back where u lies."""
    if not kernels.run_on(u_BDL):
        return padded_fft
    from hdna.ops.kernels import right_angle_fft

    return right_angle_fft


def _sum(parts: list[Tensor]) -> Tensor:
    """Add up the sample blocks' shares; usually there is one."""
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
