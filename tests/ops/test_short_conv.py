"""The gated short convolution: against torch's depthwise layer, whole, in pieces, and with a halo."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from hdna.ops import gated_short_conv

D, BATCH, LENGTH = 3, 2, 41


def inputs(channels: int, seed: int = 0, length: int = LENGTH) -> tuple[Tensor, Tensor, Tensor]:
    """p, taps and bias, in fp64 so that only mistakes are seen."""
    torch.manual_seed(seed)
    shapes = ((channels, BATCH, length), (channels, 3), (channels,))
    p, weight, bias = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return p, weight, bias


def by_layer(p: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Torch's own convolution of each channel, cut to length: (C, B, T)."""
    channels, _, length = p.shape
    layer = nn.functional.conv1d(p.transpose(0, 1), weight[:, None], bias, padding=2, groups=channels)
    return layer[..., :length].transpose(0, 1)


def test_is_the_product_of_two_halves_of_a_depthwise_layer_and_so_are_its_gradients() -> None:
    arguments = inputs(2 * D)
    got, (first, second) = gated_short_conv(*arguments), by_layer(*arguments).chunk(2)
    torch.testing.assert_close(got, first * second)
    noise = torch.randn_like(got)
    torch.testing.assert_close(
        torch.autograd.grad(got, arguments, noise), torch.autograd.grad(first * second, arguments, noise)
    )


@pytest.mark.parametrize("length", [1, 2, 3, LENGTH])
def test_is_the_product_of_a_depthwise_layer_and_what_lies_beside(length: int) -> None:
    arguments = inputs(D, length=length)
    beside = torch.randn(D, BATCH, length, dtype=torch.float64, requires_grad=True)
    got, wanted = gated_short_conv(*arguments, beside), by_layer(*arguments) * beside
    torch.testing.assert_close(got, wanted)
    noise = torch.randn_like(got)
    everything = (*arguments, beside)
    torch.testing.assert_close(
        torch.autograd.grad(got, everything, noise), torch.autograd.grad(wanted, everything, noise)
    )


@pytest.mark.parametrize("kind", ["lead", "halo"])
@pytest.mark.parametrize("cuts", [(0, 20, LENGTH), (0, 2, 5, 7, 30, 39, LENGTH), (0, 40, LENGTH)])
def test_pieces_are_the_whole_and_so_are_their_gradients(cuts: tuple[int, ...], kind: str) -> None:
    """Pieces with the two positions before them, as a lead or as a halo; the last ones are shorter than that."""
    p, weight, bias = inputs(2 * D)
    pieces = []
    for start, stop in itertools.pairwise(cuts):
        if start == 0:
            pieces.append(gated_short_conv(p[..., :stop], weight, bias))
        elif kind == "lead":
            pieces.append(gated_short_conv(p[..., start - 2 : stop], weight, bias, lead=2))
        else:
            pieces.append(gated_short_conv(p[..., start:stop], weight, bias, halo=p[..., start - 2 : start]))
    got, whole = torch.cat(pieces, dim=-1), gated_short_conv(p, weight, bias)
    torch.testing.assert_close(got, whole)
    noise = torch.randn_like(whole)
    torch.testing.assert_close(
        torch.autograd.grad(got, (p, weight, bias), noise), torch.autograd.grad(whole, (p, weight, bias), noise)
    )


def test_bf16_input_is_rounded_once_at_the_end() -> None:
    p, weight, bias = (tensor.detach().float() for tensor in inputs(2 * D))
    p = p.bfloat16()
    assert torch.equal(gated_short_conv(p, weight, bias), gated_short_conv(p.float(), weight, bias).bfloat16())
