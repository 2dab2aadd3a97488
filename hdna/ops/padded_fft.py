"""Signals to spectra and back, so that a product of spectra is a causal convolution: real transforms with padding.

Shapes: B samples, E channels of a block, L context length, n FFT size, F = n // 2 + 1 frequencies.

A signal padded to at least 2L - 1 points does not wrap around. The size is the next smooth number from there up: any
such size is exact, while 2L may have a large prime factor and be several times slower. For GPUs,
`hdna.ops.kernels.right_angle_fft` has the same functions.
"""

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from hdna.ops.smooth_size import smooth_size


def size(length: int) -> int:
    """Points of the transforms for signals of `length`."""
    return smooth_size(2 * length - 1)


def row_bytes(n: int, dtype: torch.dtype) -> int:
    """Bytes of a padded signal, or its spectrum."""
    return n * _work(dtype).itemsize


def spectrum(signals: Tensor, n: int) -> Tensor:
    """(..., L) in any floating dtype → (..., F); on a CPU `rfft` pads in cache."""
    found: Tensor = rfft(signals.to(_work(signals.dtype)), n)
    return found


def multiply(u_BEF: Tensor, k_EF: Tensor) -> None:
    """U becomes the spectrum of its convolution with k."""
    u_BEF.mul_(k_EF)


def correlate(u_BEF: Tensor, dy_BEF: Tensor, k_EF: Tensor) -> Tensor:
    """Dy becomes the spectrum of k ⋆ dy; returned is that of the sum over samples of u ⋆ dy, (E, F).

    Samples are added as spectra, so that a filter's gradient needs one inverse transform.
    """
    dk_EF: Tensor = u_BEF.conj_physical_().mul_(dy_BEF).sum(0)
    dy_BEF.mul_(k_EF.conj())
    return dk_EF


def write(out: Tensor, spectrum: Tensor, n: int, signals: Tensor | None = None, scale_E: Tensor | None = None) -> None:
    """Out (..., L) becomes the signals of a spectrum plus, of each channel, `scale` times other signals."""
    found = irfft(spectrum, n)[..., : out.shape[-1]]
    if signals is not None and scale_E is not None:
        found.addcmul_(scale_E.to(found.dtype)[:, None], signals.to(found.dtype))
    out.copy_(found)


def dots(u_BEL: Tensor, dy_BEL: Tensor) -> Tensor:
    """The sum over samples and positions of their product, of each channel: (E,)."""
    work = _work(u_BEL.dtype)
    return (u_BEL.to(work) * dy_BEL.to(work)).sum((0, 2))


def _work(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
