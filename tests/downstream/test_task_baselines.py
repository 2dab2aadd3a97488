"""Baselines: k-mers and a small network find a planted motif, find nothing where nothing is, and know no batch."""

import builtins
from typing import Any

import numpy as np
import pytest
import torch
from support.motif_rows import motif_problem, motif_rows

from hdna.downstream import metrics
from hdna.downstream.tasks.cnn import SCHEDULE, ConvNet, cnn
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.kmer_baselines import kmer_boosting, kmer_logistic
from hdna.downstream.tasks.kmer_features import kmer_counts, letters_around
from hdna.downstream.tasks.problem import Kind, Method
from hdna.errors import InputError
from hdna.genome import alphabet

FEW = 10
SCHEDULE_OF_TESTS = type(SCHEDULE)(epochs=FEW, learning_rate=5e-3, rows_per_step=32, patience=FEW)
BASELINES: dict[str, Method] = {
    "kmer_logistic": kmer_logistic(),
    "kmer_boosting": kmer_boosting(),
    "cnn": cnn(torch.device("cpu"), SCHEDULE_OF_TESTS),
}


def test_kmer_counts_are_those_of_counting() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(alphabet.A, alphabet.N + 1, size=size).astype(np.uint8) for size in (30, 2, 3, 40)]
    counted = dict[tuple[int, int], int]()
    for number, own in enumerate(rows):
        text = alphabet.decode(own).decode()
        for start in range(len(text) - 2):
            if "N" not in (word := text[start : start + 3]):
                code = sum("ACGT".index(letter) * 4 ** (2 - place) for place, letter in enumerate(word))
                counted[number, code] = counted.get((number, code), 0) + 1
    row, kmer, count = kmer_counts(rows, 3)
    assert dict(zip(zip(row.tolist(), kmer.tolist(), strict=True), count.tolist(), strict=True)) == counted


def test_the_letters_around_a_base_end_with_its_row() -> None:
    rows = [alphabet.encode(b"ACG"), alphabet.encode(b"TT")]
    found = letters_around(rows, 1).reshape(5, 3, 4)
    words = ["".join("ACGT"[own.argmax()] if own.any() else "-" for own in around) for around in found]
    assert words == ["-AC", "ACG", "CG-", "-TT", "TT-"]


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression", "per_base"])
@pytest.mark.parametrize("name", BASELINES)
def test_a_planted_motif_is_found(name: str, kind: Kind) -> None:
    problem = motif_problem(kind, train=60 if kind == "per_base" else 240)  # that has 4,500 bases
    scores = BASELINES[name](problem, problem.train, problem.valid, problem.test)
    truth = problem.test.labels
    if kind == "regression":
        assert metrics.spearman(truth.astype(np.float64), scores) > 0.6
    elif kind == "multi_label":
        assert metrics.auroc(truth[:, 0].astype(np.int64), scores[:, 0]) > 0.9
        assert (scores[:, 2] < 0.1).all()  # no train row has it
    else:
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-9)
        assert metrics.auroc(truth.astype(np.int64), scores[:, 1]) > 0.9


@pytest.mark.parametrize("kind", ["single_label", "per_base"])
def test_a_networks_prediction_does_not_depend_on_its_batch(kind: Kind) -> None:
    torch.manual_seed(0)
    problem = motif_problem(kind, train=20)
    net = ConvNet(Head.of(problem, problem.train))
    tokens = [own[: 5 + 7 * row] for row, own in enumerate(problem.train.tokens[:10])]
    with torch.no_grad():
        together, alone = net(tokens), torch.cat([net([own]) for own in tokens])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_the_same_seed_gives_the_same_network() -> None:
    problem = motif_problem(train=40)
    method = cnn(torch.device("cpu"), type(SCHEDULE)(epochs=1, learning_rate=5e-3, rows_per_step=32, patience=1))
    one, other = (method(problem, problem.train, problem.valid, problem.test) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_train_rows_that_lack_a_class_still_give_a_probability_for_each() -> None:
    problem = motif_problem(train=40)
    ones = problem.train.take(np.flatnonzero(problem.train.labels == 1))
    for method in (kmer_logistic(), kmer_boosting()):
        scores = method(problem, ones, problem.valid, motif_rows(5, 9))
        np.testing.assert_array_equal(scores, [[0, 1]] * 5)


def test_a_missing_scikit_learn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:  # noqa: ANN401
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    for baseline in (kmer_logistic, kmer_boosting):
        with pytest.raises(InputError, match=r"hdna\[eval\]"):
            baseline()
