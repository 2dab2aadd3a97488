"""Fine-tuning learns what is planted, chooses by the valid part alone, and leaves the subject as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.planted_labels import planted_problem, planted_rows, untrained_subject
from torch import nn

from hdna.downstream import metrics
from hdna.downstream.tasks.finetune import copy_of, cropped, epochs_of_crops, finetune, groups_of, new_model, scratch
from hdna.downstream.tasks.fitting import Schedule, Step, fit
from hdna.downstream.tasks.problem import Kind, Rows
from hdna.model import HyenaDNA
from hdna.parallel import Mesh
from hdna.train.optim import RATE

QUICK = Schedule(epochs=4, learning_rate=5e-3, rows_per_step=8, patience=3)


@pytest.mark.parametrize("kind", ["single_label", "per_base"])
def test_it_finds_what_is_planted(kind: Kind) -> None:
    problem = planted_problem(kind)
    subject = untrained_subject()
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    scores = finetune(subject, QUICK)(problem, problem.train, problem.valid, problem.test)
    assert metrics.auroc(problem.test.labels.astype(np.int64), scores[:, 1]) > 0.9
    assert all(torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())


def test_it_finds_nothing_in_shuffled_labels_and_reads_no_label_of_the_rows_asked_about() -> None:
    problem, quick = planted_problem(train=60), replace(QUICK, epochs=2)
    train, valid, test = (shuffled(part) for part in (problem.train, problem.valid, problem.test))
    method = scratch(untrained_subject(), quick)
    first = method(problem, train, valid, problem.test)
    assert abs(metrics.auroc(test.labels.astype(np.int64), first[:, 1]) - 0.5) < 0.2  # 3 standard errors are 0.17
    again = method(replace(problem, test=test), train, valid, test)
    np.testing.assert_array_equal(first, again)


def test_the_weights_kept_are_those_of_the_best_epoch() -> None:
    """A loss that falls, then rises: learning ends after `patience` epochs, at the weights before."""
    weight = nn.Parameter(torch.zeros(1))
    losses = iter([3.0, 2.0, 4.0, 5.0, 1.0])
    seen = []

    def valid_loss() -> float:
        seen.append(weight.item())
        return next(losses)

    def gradient(_: Step) -> None:
        weight.grad = torch.ones(1)

    groups = [{"params": [weight], "weight_decay": 0.0, RATE: 1.0}]
    fit(groups, 10, gradient, valid_loss, Schedule(9, 0.1, 5, patience=2), Mesh(0, 1))
    assert len(seen) == 4
    assert weight.item() == seen[1]


def test_a_step_changes_a_matrix_by_the_same_share_however_large_pretraining_has_made_it() -> None:
    subject = untrained_subject()
    fresh = new_model(subject.config.model, subject.device, QUICK.seed)
    subject.model.load_state_dict(fresh.state_dict())
    for name, parameter in subject.model.named_parameters():
        if name.endswith("in_proj.weight"):
            parameter.mul_(4.0)
    shares = [first_share(model) for model in (fresh, copy_of(subject, QUICK.seed))]
    for name in shares[0]:
        assert shares[1][name] == pytest.approx(shares[0][name], rel=1e-5), name  # fp32


def first_share(model: HyenaDNA) -> dict[str, float]:
    """Of each matrix, the share that AdamW's first step changes, its gradient being all ones."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = groups_of(model, replace(QUICK, weight_decay=0.0))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW([group | {"lr": 1e-3 * group[RATE]} for group in groups])
    optimizer.step()
    return {
        name: float((parameter.detach() - before[name]).norm() / before[name].norm())
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1
    }


def test_every_row_is_seen_once_an_epoch() -> None:
    steps: list[Step] = []
    weight = nn.Parameter(torch.zeros(1))
    groups = [{"params": [weight], "weight_decay": 0.0, RATE: 1.0}]

    def gradient(step: Step) -> None:
        weight.grad = torch.ones(1)
        steps.append(step)

    fit(groups, 11, gradient, lambda: 0.0, Schedule(2, 0.1, 4, 2), Mesh(0, 1))
    assert [step.number for step in steps] == list(range(6))
    for epoch in range(2):
        rows = np.concatenate([step.rows for step in steps if step.epoch == epoch])
        assert sorted(rows.tolist()) == list(range(11))


@pytest.mark.parametrize("kind", ["single_label", "per_base"])
def test_crops_are_stretches_of_their_rows_with_the_labels_of_their_bases(kind: Kind) -> None:
    rows = planted_rows(20, 9, kind)
    crops = cropped(rows, 40, (0, 1))
    for whole, crop in zip(rows.tokens, crops.tokens, strict=True):
        assert len(crop) == min(40, len(whole))
        assert bytes(crop) in bytes(whole)
    if kind == "single_label":
        np.testing.assert_array_equal(crops.labels, rows.labels)
    else:
        once = Rows(rows.tokens, np.concatenate(rows.tokens).astype(np.int64), rows.groups)
        np.testing.assert_array_equal(cropped(once, 40, (0, 1)).labels, np.concatenate(crops.tokens))
    assert cropped(rows, 60, (0, 1)) is rows


def test_crops_double_until_the_longest_sequence_is_whole() -> None:
    for longest, first, epochs in ((100, 8192, 0), (8192, 8192, 0), (8193, 8192, 1), (450_000, 8192, 6)):
        assert epochs_of_crops(longest, first) == epochs
        assert first << epochs >= longest


def test_epochs_of_crops_do_not_end_learning() -> None:
    weight, losses = nn.Parameter(torch.zeros(1)), iter([1.0, 2.0, 3.0, 4.0, 5.0])
    groups = [{"params": [weight], "weight_decay": 0.0, RATE: 1.0}]

    def gradient(_: Step) -> None:
        weight.grad = torch.ones(1)

    fit(groups, 4, gradient, lambda: next(losses), Schedule(5, 0.1, 4, patience=2, unhurried=2), Mesh(0, 1))
    assert next(losses) == 5.0


def test_long_sequences_are_learned_from_crops_first() -> None:
    problem = planted_problem(train=24)
    quick = Schedule(epochs=1, learning_rate=1e-2, rows_per_step=8, patience=3)
    scores = finetune(untrained_subject(), quick, first_length=20)(problem, problem.train, problem.valid, problem.test)
    whole = finetune(untrained_subject(), quick)(problem, problem.train, problem.valid, problem.test)
    assert np.isfinite(scores).all()
    assert np.abs(scores - whole).max() > 1e-4


def shuffled(rows: Rows) -> Rows:
    return replace(rows, labels=np.random.default_rng(3).permutation(rows.labels))
