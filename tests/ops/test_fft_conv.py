"""Long convolution: against direct sums in float64, and the properties a causal convolution has."""

from collections.abc import Callable

import pytest
import torch
from support.direct_conv import direct_conv
from torch import Tensor

from hdna.ops import causal_fft_conv, smooth_size


def random_inputs(batch: int, channels: int, length: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    shapes = ((batch, channels, length), (channels, length), (channels,))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def values_and_gradients(function: Callable[[Tensor, Tensor, Tensor], Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Outputs and the gradients of sum(y · fixed noise)."""
    y = function(*inputs)
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y, *torch.autograd.grad(y, inputs, noise)]


def assert_equals_direct(inputs: list[Tensor]) -> None:
    wanted = values_and_gradients(direct_conv, [x.detach().double().requires_grad_() for x in inputs])
    for got, want in zip(values_and_gradients(causal_fft_conv, inputs), wanted, strict=True):
        # fp32 FFT: about 1e-7 of the largest value, times the logarithm of the size.
        assert (got - want).abs().max() <= 2e-6 * want.abs().max()


@pytest.mark.parametrize("length", [1, 2, 3, 8, 17, 64, 97, 127, 128, 251, 300])
def test_equals_direct_sums_at_odd_prime_and_even_lengths(length: int) -> None:
    assert_equals_direct(random_inputs(2, 3, length))


@pytest.mark.parametrize("rows", [1, 2, 4, 6, 100])
def test_blocks_of_channels_and_of_samples_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three samples and five channels in buffers of 1 and 2 rows (samples split), 4, 6 (channels split) and all."""
    monkeypatch.setattr("hdna.ops.fft_conv.CPU_BUFFER_BYTES", rows * smooth_size(2 * 50 - 1) * 4)
    assert_equals_direct(random_inputs(3, 5, 50))


def test_gradients_pass_gradcheck_in_float64() -> None:
    assert torch.autograd.gradcheck(causal_fft_conv, random_inputs(2, 2, 7, torch.float64))


def test_only_the_gradients_asked_for_are_given() -> None:
    for wanted in range(3):
        inputs = [x.detach().requires_grad_(i == wanted) for i, x in enumerate(random_inputs(2, 3, 9))]
        alone = torch.autograd.grad(causal_fft_conv(*inputs).square().sum(), inputs[wanted])[0]
        every = random_inputs(2, 3, 9)
        together = torch.autograd.grad(causal_fft_conv(*every).square().sum(), every)[wanted]
        torch.testing.assert_close(alone, together)


def test_the_future_does_not_reach_the_past() -> None:
    u, k, bias = (x.detach() for x in random_inputs(1, 4, 200))
    later = u.clone()
    later[..., 120:] += 10
    before, after = causal_fft_conv(u, k, bias), causal_fft_conv(later, k, bias)
    # A transform spreads rounding over the whole row, so the past is equal to fp32 rounding only.
    assert (after - before)[..., :120].abs().max() < 1e-6 * after.abs().max()
    assert (after - before)[..., 120:].abs().max() > 1


def test_bf16_input_costs_one_rounding_of_the_output() -> None:
    """Inside is fp32, so against the exact sums of the same bf16 numbers only the last rounding counts: 2^-8 of y."""
    inputs = random_inputs(2, 3, 100, torch.bfloat16)
    wanted = direct_conv(*(x.detach().double() for x in inputs))
    got = causal_fft_conv(*inputs)
    assert got.dtype == torch.bfloat16
    assert ((got.double() - wanted).abs() <= 2**-8 * wanted.abs() + 1e-5).all()


def test_autocast_does_not_reach_inside() -> None:
    inputs = random_inputs(1, 2, 33)
    with torch.autocast("cpu", torch.bfloat16):
        got = causal_fft_conv(*inputs)
    assert torch.equal(got, causal_fft_conv(*inputs))


def test_strided_inputs_are_read_in_place() -> None:
    u, k, bias = random_inputs(2, 3, 40)
    wanted = causal_fft_conv(u, k, bias)
    torch.testing.assert_close(causal_fft_conv(u.mT.contiguous().mT, k.mT.contiguous().mT, bias), wanted)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    u, k, bias = random_inputs(2, 3, 40)
    for bad in ((u[0], k, bias), (u, k[:, 1:], bias), (u, k, bias[1:])):
        with pytest.raises(ValueError, match="wanted, got"):
            causal_fft_conv(*bad)


def test_sizes_are_smooth_and_the_smallest_such() -> None:
    allowed = sorted(m << a for m in (1, 3, 5, 9, 15) for a in range(24))
    for n in (*range(1, 700), 2 * 16383 - 1, 2 * 131072 - 1, 2 * 1_000_000 - 1):
        assert smooth_size(n) == next(size for size in allowed if size >= n)
