"""The GPU kernels against the plain path in fp64: through Triton's interpreter on a CPU, or on the GPU itself."""

import os

import pytest
import torch
from torch import Tensor

os.environ.setdefault("TRITON_INTERPRET", "0" if torch.cuda.is_available() else "1")  # read on import
pytest.importorskip("triton", reason="Triton comes with torch's CUDA builds, or by `pip install triton`")

from hdna.ops import gated_short_conv, triton_short_conv

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
def test_kernels_are_the_plain_path_in_fp64(
    pair: bool,
    lead: int,
    has_halo: bool,
    length: int,
    dtype: torch.dtype,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tolerance: fp32 sums of some terms; one rounding of a result to bf16's eight bits, and one of the gradient's."""
    monkeypatch.setattr(triton_short_conv, "_BLOCK", BLOCK)
    torch.manual_seed(0)
    channels = 2 * D if pair else D
    p, weight, bias = torch.randn(channels, BATCH, length + lead), torch.randn(channels, 3), torch.randn(channels)
    beside = None if pair else torch.randn(BATCH, D, length).transpose(0, 1).to(dtype)
    halo = torch.randn(channels, BATCH, 2).to(dtype) if has_halo else None
    gradient = torch.randn(D, BATCH, length).to(dtype)
    p = p.to(dtype)
    exact_p, exact_weight, exact_bias = (tensor.double().requires_grad_() for tensor in (p, weight, bias))
    exact_beside = None if beside is None else beside.double().requires_grad_()
    exact_halo = None if halo is None else halo.double()
    wanted = gated_short_conv(exact_p, exact_weight, exact_bias, exact_beside, exact_halo, lead)
    leaves = [tensor for tensor in (exact_p, exact_weight, exact_bias, exact_beside) if tensor is not None]
    gradients = torch.autograd.grad(wanted, leaves, gradient.double())

    there = p.to(DEVICE), weight.to(DEVICE), bias.to(DEVICE)
    beside, halo = (None if tensor is None else tensor.to(DEVICE) for tensor in (beside, halo))
    got = triton_short_conv.forward(*there, beside, halo, lead)
    found = triton_short_conv.backward(*there, beside, halo, lead, gradient.to(DEVICE))
    assert relative_error(got, wanted) < tolerance
    for share, expected in zip((tensor for tensor in found if tensor is not None), gradients, strict=True):
        assert relative_error(share, expected) < tolerance
