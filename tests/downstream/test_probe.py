"""A linear probe: the optimum that scikit-learn finds, and nothing learned from what is not there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from support.planted_labels import planted_problem, untrained_subject

from hdna.downstream import metrics
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.probe import fit_layer, probe, some_bases
from hdna.downstream.tasks.problem import Kind, Problem, Rows

FEATURES, ROWS = 6, 200


def drawn(classes: int) -> tuple[torch.Tensor, Rows]:
    """Features, and labels that hang on them."""
    rng = np.random.default_rng(classes)
    features = rng.normal(size=(ROWS, FEATURES))
    labels = (features @ rng.normal(size=(FEATURES, classes)) + rng.normal(size=(ROWS, classes))).argmax(1)
    return torch.from_numpy(features), Rows([np.zeros(1, np.uint8)] * ROWS, labels, np.arange(ROWS))


@pytest.mark.parametrize("strength", [1.0, 1e-3])
@pytest.mark.parametrize("classes", [2, 3])
def test_its_layer_is_the_optimum_of_scikit_learn(classes: int, strength: float) -> None:
    features, rows = drawn(classes)
    layer = torch.nn.Linear(FEATURES, classes, dtype=torch.float64)
    fit_layer(layer, Head("single_label", classes), features, rows, strength)
    # Two classes: scikit-learn has one logit, the difference of ours, whose squares sum to half of its square.
    penalty = strength / 2 if classes == 2 else strength
    peer = LogisticRegression(C=1 / (penalty * ROWS), tol=1e-10, max_iter=10_000).fit(features, rows.labels)
    found = layer(features).softmax(-1).detach().numpy()
    np.testing.assert_allclose(found, peer.predict_proba(features), atol=1e-5)
    weights = layer.weight.detach().numpy()
    ours = weights[1:] - weights[:1] if classes == 2 else weights
    np.testing.assert_allclose(ours, peer.coef_, atol=1e-4)


def test_its_numbers_are_those_of_ridge_regression() -> None:
    features, rows = drawn(2)
    numbers = Rows(rows.tokens, 5 + 3 * features[:, 0].numpy(), rows.groups)
    meaning = Head("regression", 1, centre=5.0, spread=3.0)
    layer = torch.nn.Linear(FEATURES, 1, dtype=torch.float64)
    fit_layer(layer, meaning, features, numbers, 0.1)
    peer = Ridge(alpha=0.1 * ROWS).fit(features, (numbers.labels - 5) / 3)
    np.testing.assert_allclose(meaning.scores(layer(features).detach()), 5 + 3 * peer.predict(features), atol=1e-4)


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression", "per_base"])
def test_it_finds_what_is_planted(kind: Kind) -> None:
    problem = planted_problem(kind)
    scores = probe(untrained_subject())(problem, problem.train, problem.valid, problem.test)
    truth = problem.test.labels
    if kind == "regression":
        assert metrics.pearson(truth.astype(np.float64), scores) > 0.5
        assert 90 < scores.mean() < 130
        return
    column = scores[:, 1] if scores.shape[1] == 2 else scores[:, 0]
    labels = truth[:, 0] if kind == "multi_label" else truth
    assert metrics.auroc(labels.astype(np.int64), column) > 0.75
    if kind != "multi_label":
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-12)


def test_it_finds_nothing_in_shuffled_labels() -> None:
    problem = planted_problem()
    train, valid = (shuffled(part) for part in (problem.train, problem.valid))
    scores = probe(untrained_subject())(problem, train, valid, problem.test)
    truth = shuffled(problem.test).labels.astype(np.int64)
    assert abs(metrics.auroc(truth, scores[:, 1]) - 0.5) < 0.2  # 100 rows: 3 standard errors are 0.17


def test_rows_without_a_label_change_nothing() -> None:
    problem = planted_problem("multi_label", train=40)
    unknown = Rows(problem.test.tokens, np.full_like(problem.test.labels, -1), problem.test.groups)
    more = Rows(
        [*problem.train.tokens, *unknown.tokens],
        np.concatenate([problem.train.labels, unknown.labels]),
        np.arange(140),
    )
    meaning = Head.of(problem, problem.train)
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(140, FEATURES, dtype=torch.float64, generator=rng)
    layers = []
    for rows in (problem.train, more):
        layer = torch.nn.Linear(FEATURES, 3, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        fit_layer(layer, meaning, features[: len(rows)], rows, 0.1)
        layers.append(layer.weight.detach())
    torch.testing.assert_close(*layers, rtol=0, atol=1e-5)


def test_labels_of_bases_are_drawn_by_whole_rows() -> None:
    rows = planted_problem("per_base").train
    some = some_bases(rows, 500)
    assert 400 < len(some.labels) <= 500
    assert len(some.labels) == sum(map(len, some.tokens))
    assert some_bases(rows, 10**6) is rows


def shuffled(rows: Rows) -> Rows:
    return replace(rows, labels=np.random.default_rng(3).permutation(rows.labels))


def test_the_labels_of_the_rows_asked_about_are_never_read() -> None:
    problem: Problem = planted_problem()
    ask = probe(untrained_subject())
    first = ask(problem, problem.train, problem.valid, problem.test)
    again = ask(replace(problem, test=shuffled(problem.test)), problem.train, problem.valid, shuffled(problem.test))
    np.testing.assert_array_equal(first, again)
