"""Products without gradients are torch's, whichever library makes them."""

import pytest
import torch
import torch.nn.functional as F

from hdna.ops.linear import linear, linear_gelu

torch.manual_seed(0)
X, WEIGHT, BIAS = torch.randn(37, 24), torch.randn(48, 24), torch.randn(48)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grad", [False, True])
def test_results_are_torchs(dtype: torch.dtype, grad: bool) -> None:
    x, weight, bias = (tensor.to(dtype) for tensor in (X, WEIGHT, BIAS))
    wanted = F.linear(X.double(), WEIGHT.double(), BIAS.double())
    bound = 1e-12 if dtype == torch.float64 else 5e-6
    with torch.set_grad_enabled(grad):
        assert (linear(x, weight, bias) - wanted).abs().max() < bound
        assert (linear(x, weight) - (wanted - BIAS.double())).abs().max() < bound
        assert (linear(x.T.contiguous().T, weight, bias) - wanted).abs().max() < bound
        assert (linear_gelu(x, weight, bias) - F.gelu(wanted, approximate="tanh")).abs().max() < bound


def test_gradients_are_torchs() -> None:
    weights = [WEIGHT.clone().requires_grad_() for _ in range(2)]
    linear_gelu(X, weights[0], BIAS).square().sum().backward()
    F.gelu(F.linear(X, weights[1], BIAS), approximate="tanh").square().sum().backward()
    assert weights[0].grad is not None
    torch.testing.assert_close(weights[0].grad, weights[1].grad, rtol=1e-5, atol=1e-3)
