"""Short convolution: against torch's padded convolution and against direct sums, whole and in slices."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from hdna.ops import short_conv


def random_inputs(taps: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(taps)
    return torch.randn(2, 6, 41), torch.randn(6, taps), torch.randn(6)


def test_equals_a_depthwise_layer_cut_to_length() -> None:
    x, weight, bias = random_inputs()
    layer = nn.Conv1d(6, 6, 3, padding=2, groups=6)
    layer.load_state_dict({"weight": weight[:, None], "bias": bias})
    torch.testing.assert_close(short_conv(x, weight, bias), layer(x)[..., :41])


@pytest.mark.parametrize("taps", [1, 2, 3, 5])
def test_equals_direct_sums(taps: int) -> None:
    x, weight, bias = random_inputs(taps)
    got = short_conv(x, weight, bias)
    for t in (0, 1, taps, 40):
        terms = [weight[:, -1 - lag] * x[:, :, t - lag] for lag in range(taps) if lag <= t]
        torch.testing.assert_close(got[:, :, t], bias + torch.stack(terms).sum(0))


@pytest.mark.parametrize("cuts", [(0, 20, 41), (0, 2, 3, 4, 30, 41)])
def test_slices_with_halos_are_the_whole_and_so_are_their_gradients(cuts: tuple[int, ...]) -> None:
    """Slices shorter than the halo included: they receive it from further left."""
    x, weight, bias = random_inputs()
    whole_x, sliced_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    whole = short_conv(whole_x, weight, bias)
    padded = torch.cat((torch.zeros(2, 6, 2), sliced_x), dim=-1)
    slices = [
        short_conv(sliced_x[..., a:b], weight, bias, padded[..., a : a + 2] if a else None) for a, b in pairwise(cuts)
    ]
    sliced = torch.cat(slices, dim=-1)
    torch.testing.assert_close(sliced, whole)
    noise = torch.randn(whole.shape)
    torch.testing.assert_close(torch.autograd.grad(sliced, sliced_x, noise), torch.autograd.grad(whole, whole_x, noise))
