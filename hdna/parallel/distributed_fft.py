"""The long convolution over a sliced sequence, by a Fourier transform computed jointly by the ranks.

Shapes: R rows (samples), D channels, P sequence ranks, S = L / P positions of a slice, W columns of this rank.

A causal convolution of L positions is the first half of a linear one. With padding to 2L, half of the ranks would hold
only zeros; the right-angle convolution needs no padding: multiply position n of both inputs by exp(-i π n / 2L),
convolve cyclically at length L, multiply by exp(+i π n / 2L). What wraps around comes back multiplied by exp(-i π / 2),
so the real part is the linear convolution's first half, and the imaginary part (negated) its second.

The cyclic convolution uses a four-step FFT of length L = P · S. Position n = S p + j is row p, column j of a matrix
whose row p is on rank p:
  1. columns are distributed over the ranks (real numbers travel); each rank transforms its columns of P numbers;
  2. frequency k1 of column j is multiplied by exp(-2 π i k1 j / L);
  3. row k1 goes to rank k1 (complex numbers travel), which transforms its S numbers.
Rank k1 then holds the frequencies k1 + P k2 for all k2: a transposed order, irrelevant to a product of spectra. The
inverse runs the same steps in reverse. Channels are never moved, so there may be more ranks than channels.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.fft import fft, ifft

from hdna.model.recompute import run_once
from hdna.parallel.exchange import columns_of, columns_to_row, row_to_columns
from hdna.parallel.mesh import Mesh

WORKING_BYTES = 32 * 2**20
"""Complex numbers of one block of channels, which is transformed and transferred together."""


class DistributedFFTConv:
    """A long convolution in place of `causal_fft_conv`."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def __call__(self, u_BDS: Tensor, k_DS: Tensor, bias_D: Tensor) -> Tensor:
        """Return this rank's slice of the full convolution: y (B, D, S)."""
        with torch.autocast(u_BDS.device.type, enabled=False):
            y_BDS: Tensor = run_once(_Transformed.apply, u_BDS, k_DS, bias_D, self.mesh)
        return y_BDS


class _Transformed(torch.autograd.Function):
    """Both passes. With T the distributed transform, y = T⁻¹(T u · T k), so du = T⁻¹(conj(T k) · T dy)."""

    @staticmethod
    def forward(ctx: Any, u_BDS: Tensor, k_DS: Tensor, bias_D: Tensor, mesh: Mesh) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(u_BDS, k_DS, bias_D)
        ctx.mesh = mesh
        y_BDS = torch.empty(u_BDS.shape, dtype=u_BDS.dtype, device=u_BDS.device)
        for d in _blocks(u_BDS):
            u_BES = u_BDS[:, d]
            u_BEF, k_1EF = _spectra([u_BES, k_DS[None, d]], mesh)
            (y_BES,) = _signals([(u_BEF * k_1EF, k_DS.dtype)], mesh)
            y_BDS[:, d] = y_BES.addcmul_(bias_D[d, None], u_BES)
        return y_BDS

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BDS: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        u_BDS, k_DS, bias_D = ctx.saved_tensors
        du_BDS, dk_DS, dbias_D = (torch.empty_like(x) for x in (dy_BDS, k_DS, bias_D))
        for d in _blocks(u_BDS):
            u_BES, dy_BES = u_BDS[:, d], dy_BDS[:, d]
            u_BEF, k_1EF, dy_BEF = _spectra([u_BES, k_DS[None, d], dy_BES], ctx.mesh)
            products = [(k_1EF.conj() * dy_BEF, k_DS.dtype), ((u_BEF.conj() * dy_BEF).sum(0, True), k_DS.dtype)]
            du_BES, dk_1ES = _signals(products, ctx.mesh)
            du_BDS[:, d] = du_BES.addcmul_(bias_D[d, None], dy_BES)
            dk_DS[d] = dk_1ES[0]
            dbias_D[d] = (u_BES.to(k_DS.dtype) * dy_BES).sum((0, 2))
        return du_BDS, dk_DS, dbias_D, None


def _blocks(u_BDS: Tensor) -> list[slice]:
    """Blocks of channels whose complex numbers take WORKING_BYTES, or one channel."""
    batch, channels, length = u_BDS.shape
    width = max(1, WORKING_BYTES // (batch * length * 8))
    return [slice(d, d + width) for d in range(0, channels, width)]


def _spectra(parts: Sequence[Tensor], mesh: Mesh) -> list[Tensor]:
    """Transform slices (R, D, S) of real signals to slices (R, D, F = S) of their spectra, in transposed order."""
    length = parts[0].shape[-1]
    twist_PW, twiddle_PW = _factors(length, mesh, parts)
    columns_PRDW = torch.cat([part.to(twist_PW.real.dtype) for part in row_to_columns(parts, mesh)], dim=1)
    columns_PRDW = _down(fft, columns_PRDW * twist_PW[:, None, None]).mul_(twiddle_PW[:, None, None])
    (row_RDS,) = columns_to_row([columns_PRDW], length, mesh)
    return list(fft(row_RDS).split([len(part) for part in parts]))


def _signals(spectra: Sequence[tuple[Tensor, torch.dtype]], mesh: Mesh) -> list[Tensor]:
    """Transform spectra back to slices of real signals (R, D, S), each to travel in the dtype beside it."""
    length = spectra[0][0].shape[-1]
    twist_PW, twiddle_PW = _factors(length, mesh, [spectrum for spectrum, _ in spectra])
    (columns_PRDW,) = row_to_columns([ifft(torch.cat([spectrum for spectrum, _ in spectra]))], mesh)
    columns_PRDW = _down(ifft, columns_PRDW * twiddle_PW.conj()[:, None, None])
    real_PRDW = columns_PRDW.mul_(twist_PW.conj()[:, None, None]).real
    parts = real_PRDW.split([len(spectrum) for spectrum, _ in spectra], dim=1)
    wanted = [part.to(dtype) for part, (_, dtype) in zip(parts, spectra, strict=True)]
    return columns_to_row(wanted, length, mesh)


def _down(transform: Callable[..., Tensor], columns_PRDW: Tensor) -> Tensor:
    """Transform each column; a rank has none if there are more ranks than positions in a slice."""
    return transform(columns_PRDW, dim=0) if columns_PRDW.numel() else columns_PRDW


def _factors(length: int, mesh: Mesh, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The twist exp(-i π n / 2L) and the twiddle exp(-2 π i k1 j / L) of this rank's columns, both (P, W)."""
    ranks, device = mesh.sequence_parallel_size, tensors[0].device
    mine, total = columns_of(length, mesh)[mesh.sequence_rank], length * mesh.sequence_parallel_size
    j_W = torch.arange(mine.start, mine.stop, device=device)
    p_P1 = torch.arange(ranks, device=device)[:, None]
    # In integers and fp64 as far as possible: at a million positions, fp32 has no digits left for the angles.
    twist_PW = -math.pi / (2 * total) * (p_P1 * length + j_W).double()
    twiddle_PW = -2 * math.pi / total * (p_P1 * j_W).double()
    double = any(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors)
    work = torch.complex128 if double else torch.complex64
    one = torch.ones((), dtype=torch.float64, device=device)
    return torch.polar(one, twist_PW).to(work), torch.polar(one, twiddle_PW).to(work)
