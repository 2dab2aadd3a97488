"""What is predicted and how much it weighs, from bytes; parts of a micro-batch are parts of its tensors."""

import pytest
import torch

from hdna.genome import alphabet
from hdna.model import IGNORE
from hdna.model.micro_batch import MicroBatch

TOKENS = torch.from_numpy(alphabet.encode(b"ACGTNRacg").copy())[None]
MASK = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1, 1]], dtype=torch.bool)
ANY = torch.arange(2 * 3 * 40, dtype=torch.uint8).reshape(6, 40) % 14
ANY_MASK = (torch.arange(6 * 40).reshape(6, 40) * 7 % 5) < 2


def micro_batch(soft_mask: torch.Tensor | None = ANY_MASK, repeat_weight: float = 0.1) -> MicroBatch:
    return MicroBatch(ANY, torch.arange(10, 16), soft_mask, repeat_weight=repeat_weight)


def test_bases_are_targets_n_if_asked_for_and_soft_masked_ones_weigh_less() -> None:
    """`ACGTNRacg`: the first base is context only; N, R and specials are no targets; lower case weighs less."""
    batch = MicroBatch(TOKENS, torch.tensor([3]), MASK, ignore_n=True, repeat_weight=0.25)
    assert batch.input_ids.tolist() == [TOKENS[0, :-1].tolist()]
    assert batch.targets.tolist() == [[8, 9, 10, IGNORE, IGNORE, 7, 8, 9]]
    assert batch.weights.tolist() == [[1, 1, 1, 0, 0, 0.25, 0.25, 0.25]]
    with_n = MicroBatch(TOKENS, torch.tensor([0]), ignore_n=False)
    assert with_n.targets.tolist() == [[8, 9, 10, 11, IGNORE, 7, 8, 9]]
    assert with_n.weights.tolist() == [[1, 1, 1, 1, 0, 1, 1, 1]]
    assert (batch.input_ids.dtype, batch.targets.dtype, batch.weights.dtype) == (
        torch.int64,
        torch.int64,
        torch.float32,
    )


@pytest.mark.parametrize("ignore_n", [True, False])
def test_of_all_bytes_only_bases_are_targets(ignore_n: bool) -> None:
    every = torch.arange(256, dtype=torch.uint8)
    batch = MicroBatch(torch.stack([every * 0, every], dim=1), torch.arange(256), ignore_n=ignore_n)
    predicted = batch.targets.flatten() != IGNORE
    assert predicted.nonzero().flatten().tolist() == [7, 8, 9, 10] + [11] * (not ignore_n)
    assert torch.equal(predicted, batch.weights.flatten() > 0)


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("mask", [None, ANY_MASK, torch.zeros_like(ANY_MASK)])
def test_the_counted_weight_is_the_sum_of_the_weights(weight: float, mask: torch.Tensor | None) -> None:
    batch = micro_batch(soft_mask=mask, repeat_weight=weight)
    total, bases = batch.weight_and_bases()
    assert total == pytest.approx(float(batch.weights.sum(dtype=torch.float64)), rel=1e-15)
    assert bases == int((batch.weights > 0).sum())


def test_slices_and_splits_are_parts_of_the_whole() -> None:
    whole = micro_batch()
    sizes = [1, 2, len(whole.samples) - 3]
    parts = [part.positions(slice(first, first + 13)) for part in whole.split(sizes) for first in (0, 13, 26)]
    assert [part.first_position for part in parts] == [0, 13, 26] * 3
    assert parts[4].positions(slice(3, 5)).first_position == 16
    for name in ("input_ids", "targets", "weights"):
        rows = [torch.cat([getattr(part, name) for part in parts[i : i + 3]], dim=1) for i in (0, 3, 6)]
        assert torch.equal(torch.cat(rows), getattr(whole, name))
    assert torch.equal(torch.cat([part.samples for part in parts[::3]]), whole.samples)
