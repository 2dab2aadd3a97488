"""The GPU kernels against the plain path in fp64: through Triton's interpreter on a CPU, or on the GPU itself."""

import os

import pytest
import torch
from torch import Tensor

os.environ.setdefault("TRITON_INTERPRET", "0" if torch.cuda.is_available() else "1")  # read on import
pytest.importorskip("triton", reason="Triton comes with torch's CUDA builds, or by `pip install triton`")

from hdna.ops import gated_short_conv, kernels, windowed
from hdna.ops.fft_conv import convolve, correlate
from hdna.ops.kernels import layer_norm, right_angle_fft, short_conv, window

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
D, BATCH = 3, 2
BLOCK = 16
"""Small, so that short signals have several blocks."""


def relative_error(got: Tensor, wanted: Tensor) -> float:
    return float((got.detach().cpu().double() - wanted.detach()).abs().max() / wanted.detach().abs().max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("length", [1, 2, 3, BLOCK, 37])
@pytest.mark.parametrize(("lead", "has_halo"), [(0, False), (0, True), (2, False)], ids=["start", "halo", "lead"])
@pytest.mark.parametrize("pair", [True, False], ids=["two streams", "one"])
def test_the_gated_short_convolution_is_the_plain_path_in_fp64(
    pair: bool,
    lead: int,
    has_halo: bool,
    length: int,
    dtype: torch.dtype,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tolerance: fp32 sums of some terms; one rounding of a result to bf16's eight bits, and one of the gradient's."""
    monkeypatch.setattr(short_conv, "_BLOCK", BLOCK)
    torch.manual_seed(0)
    channels = 2 * D if pair else D
    p, weight, bias = torch.randn(channels, BATCH, length + lead), torch.randn(channels, 3), torch.randn(channels)
    beside = None if pair else torch.randn(BATCH, D, length).transpose(0, 1).to(dtype)
    halo = torch.randn(channels, BATCH, 2).to(dtype) if has_halo else None
    gradient = torch.randn(D, BATCH, length).to(dtype)
    p, shift = p.to(dtype), torch.randn(channels)
    exact_p, exact_shift, exact_weight, exact_bias = (
        tensor.double().requires_grad_() for tensor in (p, shift, weight, bias)
    )
    exact_beside = None if beside is None else beside.double().requires_grad_()
    exact_halo = None if halo is None else halo.double()
    wanted = gated_short_conv(exact_p, exact_weight, exact_bias, exact_beside, exact_halo, lead, exact_shift)
    leaves = [tensor for tensor in (exact_p, exact_shift, exact_weight, exact_bias, exact_beside) if tensor is not None]
    gradients = torch.autograd.grad(wanted, leaves, gradient.double())

    there = p.to(DEVICE), shift.to(DEVICE), weight.to(DEVICE), bias.to(DEVICE)
    beside, halo = (None if tensor is None else tensor.to(DEVICE) for tensor in (beside, halo))
    got = short_conv.forward(*there, beside, halo, lead)
    found = short_conv.backward(*there, beside, halo, lead, gradient.to(DEVICE))
    assert relative_error(got, wanted) < tolerance
    for share, expected in zip((tensor for tensor in found if tensor is not None), gradients, strict=True):
        assert relative_error(share, expected) < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("width", [3, 16, 40])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_the_norm_is_torchs_in_fp64(
    rows: int, width: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three programs share the rows of the backward pass. Tolerance as above."""
    monkeypatch.setattr(layer_norm, "_ELEMENTS", 64)
    monkeypatch.setattr(layer_norm, "_PROGRAMS", 3)
    torch.manual_seed(0)
    x, weight, bias = 3 * torch.randn(2, rows, width) + 1, torch.randn(width), torch.randn(width)
    gradient = torch.randn(2, rows, width).to(dtype)
    exact = [tensor.double().requires_grad_() for tensor in (x, weight, bias)]
    wanted = torch.nn.functional.layer_norm(exact[0], (width,), exact[1], exact[2], 1e-5)
    gradients = torch.autograd.grad(wanted, exact, gradient.double())
    got = layer_norm.forward(x.to(DEVICE), weight.to(DEVICE), bias.to(DEVICE), 1e-5, dtype)
    assert got.dtype == dtype
    assert relative_error(got, wanted) < tolerance
    found = layer_norm.backward(x.to(DEVICE), weight.to(DEVICE), 1e-5, gradient.to(DEVICE))
    for share, expected in zip(found, gradients, strict=True):
        assert relative_error(share, expected) < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 1e-2)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("length", [1, 2, 31, BLOCK, 97])
@pytest.mark.parametrize(("samples", "buffer"), [(1, 2**20), (5, 2**20), (5, 2**11)], ids=["one", "more", "in blocks"])
def test_the_long_convolution_without_padding_is_the_padded_one_in_fp64(
    samples: int, buffer: int, length: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs whose channels lie outermost in memory, as in the model. Tolerance as of the padded one."""
    monkeypatch.setattr(kernels, "run_on", lambda u: u.dtype != torch.float64)
    monkeypatch.setattr("hdna.ops.fft_conv.CPU_BUFFER_BYTES", buffer)
    monkeypatch.setattr("hdna.ops.fft_conv.CUDA_BUFFER_BYTES", buffer)
    for size in ("_BLOCK", "_ROWS", "_SAMPLES"):
        monkeypatch.setattr(right_angle_fft, size, BLOCK if size == "_BLOCK" else 2)
    torch.manual_seed(0)
    u, dy = (torch.randn(D, samples, length).transpose(0, 1).to(dtype) for _ in range(2))
    k, bias = torch.randn(D, length), torch.randn(D)
    exact = u.double(), k.double(), bias.double()
    got = convolve(u.to(DEVICE), k.to(DEVICE), bias.to(DEVICE))
    assert got.dtype == dtype
    assert relative_error(got, convolve(*exact)) < tolerance
    found = correlate(u.to(DEVICE), k.to(DEVICE), bias.to(DEVICE), dy.to(DEVICE))
    for share, expected in zip(found, correlate(*exact, dy.double()), strict=True):
        assert relative_error(share, expected) < tolerance


def test_the_window_is_the_plain_one_in_fp64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are a column of a wider table, as in the model. Tolerance: fp32's exp and two products."""
    monkeypatch.setattr(window, "_BLOCK", BLOCK)
    torch.manual_seed(0)
    taps, features, decay = torch.randn(D, 37), torch.rand(37, 5), 20 * torch.rand(D)
    wanted = windowed(taps.double(), features[:, 0].double(), decay.double(), 0.05)
    got = window.windowed(taps.to(DEVICE), features.to(DEVICE)[:, 0], decay.to(DEVICE), 0.05)
    assert relative_error(got, wanted) < 1e-6
