"""A prediction is a function of its own sequence: not of its batch, of padding, or of how ranks share the work."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import tuning_tasks
from support.planted_labels import planted_problem, planted_rows, untrained_subject
from support.ranks import run_ranks
from torch.nn import functional

from hdna.downstream.tasks import task_model
from hdna.downstream.tasks.features import ONE_PROCESS, batches, padded_length
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.problem import Kind, Rows
from hdna.downstream.tasks.task_model import TaskModel, lengths
from hdna.genome.alphabet import reverse_complement

TOLERANCE = 1e-6


def untaught(kind: Kind) -> TaskModel:
    """A model with a head that is not zero."""
    problem = planted_problem(kind, train=4)
    model = TaskModel(untrained_subject().model, Head.of(problem, problem.train))
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression", "per_base"])
def test_a_prediction_does_not_depend_on_its_batch(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = untaught(kind), planted_rows(9, 5, kind)
    longer = Rows([*asked.tokens, np.full(256, 7, np.uint8)], asked.labels, asked.groups)
    count = int(lengths(asked).sum()) if kind == "per_base" else len(asked)
    together = model.meaning.scores(model.over(longer, model, model.meaning.outputs)[:count])
    monkeypatch.setattr(task_model, "POSITIONS", 1)
    alone = model.meaning.scores(model.over(asked, model, model.meaning.outputs))
    np.testing.assert_allclose(together, alone, rtol=TOLERANCE, atol=TOLERANCE)


def test_features_are_mean_and_last_of_both_strands_over_a_rows_own_bases() -> None:
    model, rows = untaught("single_label"), planted_rows(3, 6)
    found = model.over(rows, model.features, model.head.in_features)
    for own, features in zip(rows.tokens, found, strict=True):
        strands = [model.model.hidden(torch.from_numpy(s[None]).long()) for s in (own, reverse_complement(own).copy())]
        parts = [part for (hidden,) in strands for part in (hidden.double().mean(0), hidden[-1].double())]
        expected = torch.cat(parts)
        torch.testing.assert_close(features, expected, rtol=0, atol=TOLERANCE)


def test_a_base_is_seen_from_both_sides() -> None:
    """Its features change with any base of its sequence, and are the two passes' hidden states at that base."""
    model, (own,) = untaught("per_base"), planted_rows(1, 7).tokens
    found = model.features([own, own[:20]])[: len(own)]
    there = model.model.hidden(torch.from_numpy(own[None]).long())[0]
    back = model.model.hidden(torch.from_numpy(reverse_complement(own)[None].copy()).long())[0].flip(0)
    torch.testing.assert_close(found, torch.cat([there, back], 1), rtol=0, atol=TOLERANCE)


def test_batches_hold_each_row_once_and_no_more_positions_than_they_may() -> None:
    sizes = np.random.default_rng(0).integers(1, 300, size=500)
    sizes[7] = 5000
    found = list(batches(sizes, 1000, 5000, before=2))
    assert sorted(np.concatenate(found).tolist()) == list(range(500))
    for batch in found:
        (padded,) = {padded_length(int(size), 5000) for size in sizes[batch]}
        assert len(batch) * (padded + 2) <= 1000 or len(batch) == 1


def test_a_sequence_is_padded_by_its_own_length_and_little() -> None:
    found = [padded_length(length, 1000) for length in range(1, 1001)]
    assert found == sorted(found)
    assert len(set(found)) < 40
    assert all(length <= padded <= 1.25 * length for length, padded in enumerate(found, 1))
    assert padded_length(1000, 1000) == 1000
    assert padded_length(1001, 1000) == 1001  # for the model to refuse


def test_missing_labels_change_nothing() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = np.array([[1, 0, -1], [-1, -1, -1], [0, 1, 1], [1, 1, 0]])
    head = Head("multi_label", 3)
    (gradient,) = torch.autograd.grad(head.loss(logits, labels), logits)
    known = torch.from_numpy(labels >= 0)
    expected = functional.binary_cross_entropy_with_logits(
        logits[known], torch.from_numpy(labels).float()[known], reduction="sum"
    )
    assert float(head.loss(logits, labels).detach()) == pytest.approx(float(expected.detach()))
    assert head.count(labels) == int(known.sum())
    assert not gradient[~known].any()


@pytest.mark.ranks
def test_a_step_on_ranks_has_the_loss_and_gradients_of_one_process(tmp_path: Path) -> None:
    """Of rows alone and unpadded, by autograd; ranks that share sequences, rows, or neither, and one that is idle."""
    run_ranks(3, tuning_tasks.run_layouts, out=tmp_path)
    expected = tuning_tasks.plain_step()
    for name in tuning_tasks.LAYOUTS:
        found = load_file(tmp_path / f"{name}.safetensors")
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            error = float((found[key] - value).abs().max() / value.abs().max())
            assert error <= (1e-6 if key == "loss" else 1e-5), f"{key} of {name}: {error:.1e}"


@pytest.mark.ranks
def test_ranks_that_share_sequences_find_the_scores_of_one_process(tmp_path: Path) -> None:
    run_ranks(3, tuning_tasks.run_method, out=tmp_path)
    found = [load_file(tmp_path / f"rank-{rank}.safetensors")["scores"] for rank in range(3)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    # AdamW divides a gradient near 0 by its own size, so that rounding grows over three steps.
    np.testing.assert_allclose(found[0].numpy(), tuning_tasks.tuned(ONE_PROCESS), atol=1e-3)
