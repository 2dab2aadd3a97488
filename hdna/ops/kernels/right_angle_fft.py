"""Signals to spectra and back on a GPU, without padding: the functions of `hdna.ops.padded_fft` for Triton and cuFFT.

Shapes: B samples, E channels of a block, L context length, n >= L complex points.

Multiply position t of real signals by w^t, w = exp(i π / 2n): at n points the product of spectra is then a convolution
whose part that wraps around comes back multiplied by w^n = i. Times w^-t, its real part is the causal convolution, its
imaginary part what wrapped (as in `hdna.parallel.distributed_fft`, with the other sign). With conjugated spectra the
same holds of correlations.

Beside a real transform of 2n points this saves what cuFFT spends on splitting and joining real spectra, and, in kernels
that read signals as they are and write them as they should be, the passes for conversion, padding and scaling.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.fft import fft, ifft

from hdna.ops.kernels import by_position
from hdna.ops.smooth_size import smooth_size

_BLOCK = 512
_ROWS = 8
"""Signals that a program twists by the same factors, whose sines it computes once."""
_SAMPLES = 16
"""Samples that a program multiplies by a filter's spectrum, which it reads once."""


@triton.jit
def _load(z, start, n, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202
    """BLOCK complex numbers of a row, as real and imaginary parts."""
    place = 2 * start + tl.arange(0, 2 * BLOCK)
    return tl.split(tl.reshape(tl.load(z + place, mask=place < 2 * n, other=0.0), (BLOCK, 2)))


@triton.jit
def _store(z, real, imaginary, start, n, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202
    place = 2 * start + tl.arange(0, 2 * BLOCK)
    tl.store(z + place, tl.interleave(real, imaginary), mask=place < 2 * n)


@triton.jit
def _twist(  # noqa: ANN202
    signals, z, rows, channels, length, n, angle, s_b, s_c, BLOCK: tl.constexpr, ROWS: tl.constexpr  # noqa: ANN001
):  # fmt: skip
    """Z[row, t] = signals[row, t] · exp(i · angle · t), zero from `length` on."""
    start = tl.program_id(1) * BLOCK
    t = start + tl.arange(0, BLOCK)
    cosine, sine = tl.cos(angle * t.to(tl.float32)), tl.sin(angle * t.to(tl.float32))
    for i in tl.static_range(ROWS):
        row = tl.program_id(0) * ROWS + i
        place = (row // channels).to(tl.int64) * s_b + (row % channels).to(tl.int64) * s_c
        value = tl.load(signals + place + t, mask=(t < length) & (row < rows), other=0.0).to(tl.float32)
        _store(z + row.to(tl.int64) * 2 * n, value * cosine, value * sine, start, tl.where(row < rows, n, 0), BLOCK)


@triton.jit
def _untwist(  # noqa: ANN202
    z, out, signals, scale, rows, channels, length, n, angle, o_b, o_c, s_b, s_c,  # noqa: ANN001
    ADD: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Out[row, t] = real part of z[row, t] · exp(-i · angle · t), plus the channel's scale times signals[row, t]."""
    start = tl.program_id(1) * BLOCK
    t = start + tl.arange(0, BLOCK)
    cosine, sine = tl.cos(angle * t.to(tl.float32)), tl.sin(angle * t.to(tl.float32))
    for i in tl.static_range(ROWS):
        row = tl.program_id(0) * ROWS + i
        inside = (t < length) & (row < rows)
        sample, channel = (row // channels).to(tl.int64), (row % channels).to(tl.int64)
        real, imaginary = _load(z + row.to(tl.int64) * 2 * n, start, tl.where(row < rows, n, 0), BLOCK)
        value = real * cosine + imaginary * sine
        if ADD:
            other = tl.load(signals + sample * s_b + channel * s_c + t, mask=inside, other=0.0).to(tl.float32)
            value += tl.load(scale + channel).to(tl.float32) * other
        tl.store(out + sample * o_b + channel * o_c + t, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _multiply(u, k, batch, channels, n, BLOCK: tl.constexpr, SAMPLES: tl.constexpr):  # noqa: ANN001, ANN202
    """U[sample, channel] *= k[channel] / n."""
    channel, start = tl.program_id(0), tl.program_id(1) * BLOCK
    k_real, k_imaginary = _load(k + channel.to(tl.int64) * 2 * n, start, n, BLOCK)
    k_real, k_imaginary = k_real / n, k_imaginary / n
    sample = tl.program_id(2) * SAMPLES
    stop = tl.minimum(sample + SAMPLES, batch)
    while sample < stop:
        row = u + (sample * channels + channel).to(tl.int64) * 2 * n
        real, imaginary = _load(row, start, n, BLOCK)
        _store(row, real * k_real - imaginary * k_imaginary, real * k_imaginary + imaginary * k_real, start, n, BLOCK)
        sample += 1


@triton.jit
def _correlate(  # noqa: ANN202
    u, dy, k, dk, batch, channels, n, BLOCK: tl.constexpr, SAMPLES: tl.constexpr  # noqa: ANN001
):  # fmt: skip
    """dk[group, channel] = sum over samples of conj(u) · dy / n; dy[sample, channel] *= conj(k[channel]) / n."""
    channel, start = tl.program_id(0), tl.program_id(1) * BLOCK
    k_real, k_imaginary = _load(k + channel.to(tl.int64) * 2 * n, start, n, BLOCK)
    k_real, k_imaginary = k_real / n, k_imaginary / n
    dk_real, dk_imaginary = tl.zeros([BLOCK], dtype=tl.float32), tl.zeros([BLOCK], dtype=tl.float32)
    sample = tl.program_id(2) * SAMPLES
    stop = tl.minimum(sample + SAMPLES, batch)
    while sample < stop:
        row = (sample * channels + channel).to(tl.int64) * 2 * n
        real, imaginary = _load(dy + row, start, n, BLOCK)
        u_real, u_imaginary = _load(u + row, start, n, BLOCK)
        dk_real += u_real * real + u_imaginary * imaginary
        dk_imaginary += u_real * imaginary - u_imaginary * real
        conj_real, conj_imaginary = real * k_real + imaginary * k_imaginary, imaginary * k_real - real * k_imaginary
        _store(dy + row, conj_real, conj_imaginary, start, n, BLOCK)
        sample += 1
    share = dk + (tl.program_id(2) * channels + channel).to(tl.int64) * 2 * n
    _store(share, dk_real / n, dk_imaginary / n, start, n, BLOCK)


@triton.jit
def _dots(u, dy, sums, channels, length, u_b, u_c, dy_b, dy_c, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202
    """A row's sum of u · dy over a block of positions."""
    sample, channel = (tl.program_id(0) // channels).to(tl.int64), (tl.program_id(0) % channels).to(tl.int64)
    t = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    left = tl.load(u + sample * u_b + channel * u_c + t, mask=t < length, other=0.0).to(tl.float32)
    right = tl.load(dy + sample * dy_b + channel * dy_c + t, mask=t < length, other=0.0).to(tl.float32)
    tl.store(sums + tl.program_id(0) * tl.num_programs(1) + tl.program_id(1), tl.sum(left * right))


def size(length: int) -> int:
    """Points of the transforms for signals of `length`."""
    return smooth_size(length)


def row_bytes(n: int, _: torch.dtype) -> int:
    """Bytes of a twisted signal, or its spectrum."""
    return n * 8


def spectrum(signals: Tensor, n: int) -> Tensor:
    """(E, L) or (B, E, L) in any floating dtype → the same with n complex numbers each."""
    signals = by_position(signals)
    rows, channels, length, s_b, s_c = _rows(signals)
    z = torch.empty(*signals.shape[:-1], n, dtype=torch.complex64, device=signals.device)
    sizes = rows, channels, length, n, math.pi / (2 * n), s_b, s_c
    grid = triton.cdiv(rows, _ROWS), triton.cdiv(n, _BLOCK)
    _twist[grid](signals, torch.view_as_real(z), *sizes, BLOCK=_BLOCK, ROWS=_ROWS)
    found: Tensor = fft(z)
    return found


def multiply(u_BEF: Tensor, k_EF: Tensor) -> None:
    """U becomes the spectrum of its convolution with k."""
    grid, sizes, kind = _products(u_BEF)
    _multiply[grid](*map(torch.view_as_real, (u_BEF, k_EF)), *sizes, **kind)


def correlate(u_BEF: Tensor, dy_BEF: Tensor, k_EF: Tensor) -> Tensor:
    """Dy becomes the spectrum of k ⋆ dy; returned is that of the sum over samples of u ⋆ dy, (E, n)."""
    grid, sizes, kind = _products(u_BEF)
    dk_GEF = torch.empty(grid[2], *k_EF.shape, dtype=k_EF.dtype, device=k_EF.device)
    _correlate[grid](*map(torch.view_as_real, (u_BEF, dy_BEF, k_EF, dk_GEF)), *sizes, **kind)
    return dk_GEF[0] if len(dk_GEF) == 1 else dk_GEF.sum(0)


def write(out: Tensor, spectrum: Tensor, n: int, signals: Tensor | None = None, scale_E: Tensor | None = None) -> None:
    """Out (..., L) becomes the signals of a spectrum plus, of each channel, `scale` times other signals."""
    z = torch.view_as_real(ifft(spectrum, norm="forward"))  # the products have divided by n
    rows, channels, length, o_b, o_c = _rows(out)
    other = out if signals is None else by_position(signals)
    sizes = rows, channels, length, n, math.pi / (2 * n), o_b, o_c, *_rows(other)[3:]
    grid = triton.cdiv(rows, _ROWS), triton.cdiv(length, _BLOCK)
    scale = out if scale_E is None else scale_E
    _untwist[grid](z, out, other, scale, *sizes, ADD=signals is not None, BLOCK=_BLOCK, ROWS=_ROWS)


def dots(u_BEL: Tensor, dy_BEL: Tensor) -> Tensor:
    """The sum over samples and positions of their product, of each channel: (E,)."""
    batch, channels, length = u_BEL.shape
    grid = (batch * channels, triton.cdiv(length, 4 * _BLOCK))
    sums = torch.empty(batch, channels, grid[1], dtype=torch.float32, device=u_BEL.device)
    u, dy = by_position(u_BEL), by_position(dy_BEL)
    _dots[grid](u, dy, sums, channels, length, *u.stride()[:2], *dy.stride()[:2], BLOCK=4 * _BLOCK)
    return sums.sum((0, 2))


def _products(u_BEF: Tensor) -> tuple[tuple[int, int, int], tuple[int, int, int], dict[str, int]]:
    """Grid, sizes and compile-time sizes of a product of spectra."""
    batch, channels, n = u_BEF.shape
    grid = channels, triton.cdiv(n, _BLOCK), triton.cdiv(batch, _SAMPLES)
    return grid, (batch, channels, n), {"BLOCK": _BLOCK, "SAMPLES": _SAMPLES}


def _rows(signals: Tensor) -> tuple[int, int, int, int, int]:
    """How many signals, channels and positions there are; strides of samples and channels."""
    *batch, channels, length = signals.shape
    s_b = signals.stride(0) if batch else 0
    return math.prod(batch) * channels, channels, length, s_b, signals.stride(-2)
