"""Positional dropout: a fair coin, and the same coin wherever an element is computed."""

import pytest
import torch
from torch import Tensor

from hdna.ops import positional_dropout
from hdna.ops.dropout import keep_mask

SAMPLES = torch.arange(100, 108)
SHAPE = (8, 512, 64)
COUNT = 8 * 512 * 64


def dropped(p: float = 0.1, seed: int = 5, samples: Tensor = SAMPLES, first: int = 0) -> Tensor:
    """1.0 where dropped."""
    return 1 - keep_mask((len(samples), *SHAPE[1:]), p, seed, samples, first).double()


def python_keeps(p: float, seed: int, sample: int, position: int, channel: int) -> bool:
    """The hash again in Python's unbounded integers, reduced modulo 2^64 and 2^32: what every device must give."""
    gamma, a, b = 0x6A09E667F3BCC909, 0x3B67AE8584CAA73B, 0x1E3779B97F4A7C15

    def mix(x: int) -> int:
        x %= 2**64
        x = (x ^ (x >> 31)) * a % 2**64
        x = (x ^ (x >> 29)) * b % 2**64
        return x ^ (x >> 32)

    row = mix(mix(sample * gamma + seed * a) + position * gamma)
    x = (row + mix(channel * gamma + ~seed * b)) % 2**32
    x = (x ^ (x >> 16)) * 0x510E527F % 2**32
    x = (x ^ (x >> 15)) * 0x54FF53A5 % 2**32
    return (x + 2**31) % 2**32 >= round(p * 2**32)


def test_decisions_are_the_documented_integer_hash() -> None:
    """Pins the values: a run resumed with another version or on another device must draw the same masks."""
    for seed in (0, 7, -3, 2**63 + 11):
        mask = keep_mask((2, 40, 9), 0.3, seed, torch.tensor([3, 10**12]), 999_990)
        wanted = [
            [[python_keeps(0.3, seed, s, 999_990 + t, c) for c in range(9)] for t in range(40)] for s in (3, 10**12)
        ]
        assert mask.tolist() == wanted


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_a_share_of_p_is_dropped_overall_and_in_every_sample_position_and_channel(p: float) -> None:
    """Within 5 standard deviations."""
    mask = dropped(p)
    for axes, samples in (((0, 1, 2), COUNT), ((1, 2), 512 * 64), ((0, 2), 8 * 64), ((0, 1), 8 * 512)):
        deviation = (mask.mean(axes) - p).abs().max() / (p * (1 - p) / samples) ** 0.5
        assert deviation < 5, (axes, float(deviation))


def test_neighbours_are_independent() -> None:
    """Elements one or a power of two apart, in any direction or seed, drop together with probability p²."""
    p = 0.3
    mask = dropped(p)
    pairs = {f"seed +{n}": (mask, dropped(p, seed=5 + n)) for n in (1, 2, 256)}
    for axis, steps in ((0, (1, 2, 4)), (1, (1, 2, 3, 64, 256)), (2, (1, 2, 3, 16, 32))):
        for step in steps:
            length = mask.shape[axis] - step
            pairs[f"axis {axis} +{step}"] = mask.narrow(axis, 0, length), mask.narrow(axis, step, length)
    for name, (left, right) in pairs.items():
        deviation = ((left - p) * (right - p)).mean().abs() / (p * (1 - p)) * left.numel() ** 0.5
        assert deviation < 5, (name, float(deviation))


def test_slices_of_the_sequence_draw_the_masks_of_the_whole() -> None:
    x = torch.randn(SHAPE)
    whole = positional_dropout(x, 0.2, 11, SAMPLES, 0)
    slices = [positional_dropout(x[:, a:b], 0.2, 11, SAMPLES, a) for a, b in ((0, 100), (100, 101), (101, 512))]
    assert torch.equal(torch.cat(slices, dim=1), whole)


def test_layouts_of_the_batch_draw_the_same_masks() -> None:
    """Micro-batches, other orders and repeated samples: the index of a sample decides, not its row."""
    x = torch.randn(SHAPE)
    whole = positional_dropout(x, 0.2, 11, SAMPLES, 0)
    order = torch.tensor([6, 1, 1, 3])
    assert torch.equal(positional_dropout(x[order], 0.2, 11, SAMPLES[order], 0), whole[order])


def test_the_block_size_changes_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = dropped()
    monkeypatch.setattr("hdna.ops.dropout._CPU_BLOCK", 1000)
    assert torch.equal(dropped(), wanted)


def test_kept_elements_are_scaled_and_gradients_follow_the_mask() -> None:
    x = torch.ones(SHAPE, requires_grad=True)
    y = positional_dropout(x, 0.25, 1, SAMPLES, 0)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y)


def test_probabilities_outside_the_range_are_refused() -> None:
    x = torch.ones(SHAPE)
    assert positional_dropout(x, 0.0, 1, SAMPLES, 0) is x
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match="dropout probability"):
            positional_dropout(x, p, 1, SAMPLES, 0)
