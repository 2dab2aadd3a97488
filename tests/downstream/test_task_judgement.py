"""Judging: figures equal scikit-learn's, differences are of the same draws, strata and curves are what they say."""

import math

import numpy as np
import pytest
from sklearn import metrics as peer
from support.motif_rows import motif_problem, motif_rows

from hdna.downstream.metrics import Floats
from hdna.downstream.tasks.figures import figures_of, judged
from hdna.downstream.tasks.judgement import calibration, compare, draws_for
from hdna.downstream.tasks.kmer_baselines import kmer_logistic
from hdna.downstream.tasks.learning_curve import label_counts, learning_curve, nested_order, saved_share
from hdna.downstream.tasks.problem import Kind, Problem, Rows
from hdna.downstream.tasks.strata import strata

FEW = 10
"""Draws of tests that ask for values alone."""


def noisy(truth: Floats, noise: float, classes: int = 2, seed: int = 0) -> Floats:
    """Probabilities of classes that are right more often than not."""
    rng = np.random.default_rng(seed)
    logits = (truth[:, None] == np.arange(classes)) * 1.0 + noise * rng.normal(size=(len(truth), classes))
    raised = np.exp(logits)
    scores: Floats = raised / raised.sum(1, keepdims=True)
    return scores


def value_of(problem: Problem, scores: Floats, name: str) -> float | None:
    found = compare(judged(problem, problem.test), {"own": scores}, figures_of(problem, 20), FEW)
    value: float | None = found["metrics"]["own"][name]["value"]
    return value


def classes_problem(classes: int) -> Problem:
    test = motif_rows(300, 5)
    labels = np.random.default_rng(1).integers(classes, size=300)
    rows = Rows(test.tokens, labels, test.groups)
    return Problem("c", "single_label", [str(own) for own in range(classes)], rows, rows, rows)


@pytest.mark.parametrize("classes", [2, 4])
def test_figures_of_classes_equal_scikit_learn(classes: int) -> None:
    problem = classes_problem(classes)
    truth = problem.test.labels
    scores = noisy(truth.astype(np.float64), 1.0, classes)
    guess = scores.argmax(1)
    whole = {"average": "macro", "multi_class": "ovr"} if classes > 2 else {}
    assert value_of(problem, scores, "mcc") == pytest.approx(peer.matthews_corrcoef(truth, guess))
    assert value_of(problem, scores, "f1_macro") == pytest.approx(peer.f1_score(truth, guess, average="macro"))
    asked = scores if classes > 2 else scores[:, 1]
    assert value_of(problem, scores, "auroc") == pytest.approx(peer.roc_auc_score(truth, asked, **whole))
    hot = np.eye(classes)[truth] if classes > 2 else truth
    assert value_of(problem, scores, "auprc") == pytest.approx(peer.average_precision_score(hot, asked))


def test_labels_are_averaged_and_missing_ones_left_out() -> None:
    problem = motif_problem("multi_label")
    truth = problem.test.labels
    scores = np.random.default_rng(0).random(truth.shape)
    known = truth[:, 1] >= 0
    wanted = np.mean(
        [peer.roc_auc_score(truth[:, 0], scores[:, 0]), peer.roc_auc_score(truth[known, 1], scores[known, 1])]
    )
    assert value_of(problem, scores, "auroc") == pytest.approx(wanted)  # of the third, all 0, it is not defined
    figures = figures_of(problem, 20, {"first": slice(0, 1)})
    found = compare(judged(problem, problem.test), {"own": scores}, figures, FEW)["metrics"]["own"]
    assert found["median_auroc_first"]["value"] == pytest.approx(peer.roc_auc_score(truth[:, 0], scores[:, 0]))


def test_bases_are_judged_one_by_one_and_drawn_by_their_rows() -> None:
    problem = motif_problem("per_base", groups=7)
    labels = problem.test.labels.copy()
    labels[::5] = -1
    test = Rows(problem.test.tokens, labels, problem.test.groups)
    problem = Problem("b", "per_base", problem.names, problem.train, problem.valid, test)
    scores = noisy(np.maximum(labels, 0).astype(np.float64), 1.0)
    what = judged(problem, test)
    assert set(what.groups_R) == set(range(7))
    known = labels >= 0
    assert value_of(problem, scores, "auroc") == pytest.approx(peer.roc_auc_score(labels[known], scores[known, 1]))
    kept = np.arange(len(test)) < 3
    own = compare(what.of_rows(kept), {"own": scores}, figures_of(problem, 20), FEW)
    bases = sum(len(row) for row in test.tokens[:3])
    wanted = peer.accuracy_score(labels[:bases][known[:bases]], scores[:bases].argmax(1)[known[:bases]])
    assert own["metrics"]["own"]["accuracy"]["value"] == pytest.approx(wanted)


def test_a_difference_is_of_the_same_draws() -> None:
    """Two models that differ in three rows: the difference's interval is far narrower than that of either."""
    problem = classes_problem(2)
    one = noisy(problem.test.labels.astype(np.float64), 1.0)
    other = one.copy()
    other[:3] = other[:3, ::-1]
    figures = figures_of(problem, 20)
    found = compare(judged(problem, problem.test), {"one": one, "other": other}, figures, 100)
    width = {
        key: own["high"] - own["low"]
        for key, own in (
            ("one", found["metrics"]["one"]["accuracy"]),
            ("difference", found["differences"]["other"]["accuracy"]),
        )
    }
    assert width["difference"] < width["one"] / 3
    same = compare(judged(problem, problem.test), {"one": one, "two": one}, figures, FEW)
    assert all(own == {"value": 0.0, "low": 0.0, "high": 0.0} for own in same["differences"]["two"].values())


def test_shuffled_labels_are_judged_as_chance() -> None:
    problem = motif_problem(noise=True, seed=20)  # one seed in twenty is outside its interval
    scores = kmer_logistic()(problem, problem.train, problem.valid, problem.test)
    found = compare(judged(problem, problem.test), {"own": scores}, figures_of(problem, 20), 200)["metrics"]["own"]
    assert found["mcc"]["low"] < 0 < found["mcc"]["high"]
    assert found["auroc"]["low"] < 0.5 < found["auroc"]["high"]


def test_bins_of_calibration_hold_all_rows() -> None:
    problem = classes_problem(2)
    scores = noisy(problem.test.labels.astype(np.float64), 1.0)
    bins = calibration("single_label", judged(problem, problem.test), scores)
    assert sum(own["rows"] or 0 for own in bins) == 300
    right = sum((own["rows"] or 0) * own["right"] for own in bins if own["right"] is not None)
    assert right == pytest.approx((scores.argmax(1) == problem.test.labels).sum())


def test_large_sets_are_drawn_from_less_often() -> None:
    assert [draws_for(labels) for labels in (100, 100_000, 100_000_000)] == [1000, 500, 100]


def test_strata_divide_the_rows() -> None:
    problem = classes_problem(2)
    names = [f"chr{row % 3}" for row in range(300)]
    scores = {"own": noisy(problem.test.labels.astype(np.float64), 1.0)}
    what = judged(problem, problem.test)
    found = strata(problem.test, names, what, scores, {"mcc": figures_of(problem, 20)["mcc"]}, FEW)
    for by in ("gc", "length", "chromosome"):
        assert sum(own["rows"] for own in found[by].values()) == 300
    assert list(found["chromosome"]) == ["chr0", "chr1", "chr2"]


def oracle(needed: int) -> "MethodOfLabels":
    return MethodOfLabels(needed)


class MethodOfLabels:
    """Knows as much as it has labels: all of it with `needed`, a part of it by their logarithm with fewer."""

    def __init__(self, needed: int) -> None:
        self.needed, self.asked = needed, list[tuple[int, int]]()

    def __call__(self, problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        self.asked.append((len(train), len(valid)))
        known = min(1.0, math.log(len(train) + len(valid)) / math.log(self.needed))
        right = np.arange(len(asked)) < known * len(asked)
        guess = np.where(right, asked.labels, 1 - asked.labels)
        return np.eye(2)[guess.astype(np.int64)]


def test_a_learning_curve_counts_every_label_and_finds_what_is_saved() -> None:
    problem = motif_problem(train=432, groups=0)  # and 80 valid: 512 labels
    pretrained, scratch, said = MethodOfLabels(128), MethodOfLabels(512), list[str]()
    found = learning_curve(problem, pretrained, scratch, figures_of(problem, 20)["accuracy"], said.append)
    assert len(said) == 5
    assert [point["labels"] for point in found["learning_curve"]] == [32, 64, 128, 256, 512]
    assert [sum(own) for own in pretrained.asked] == [count for count in (32, 64, 128, 256, 512) for _ in range(3)]
    assert pretrained.asked[0] == (26, 6)
    assert found["learning_curve"][2]["difference"]["value"] == pytest.approx(
        1 - math.log(128) / math.log(512), abs=0.01
    )
    assert found["labels_saved"]["share"]["value"] == pytest.approx(0.75)


def test_labels_saved_are_interpolated_and_not_made_up() -> None:
    counts = [100, 200, 400]
    pretrained, scratch = np.array([0.4, 0.6, 0.8]), np.array([0.1, 0.3, 0.5])
    assert saved_share(counts, pretrained, scratch) == pytest.approx(1 - math.sqrt(100 * 200) / 400)
    assert saved_share(counts, pretrained + 1, scratch) == pytest.approx(0.75)
    assert math.isnan(saved_share(counts, pretrained - 1, scratch))


def test_small_parts_have_the_classes_in_the_shares_of_the_whole() -> None:
    rows = motif_rows(200, 0)
    labels = (np.arange(200) < 20).astype(np.int64)
    problem = Problem("p", "single_label", ["a", "b"], *[Rows(rows.tokens, labels, rows.groups)] * 3)
    for seed in range(5):
        order = nested_order(problem, problem.train, seed)
        assert sorted(order) == list(range(200))
        for size in (20, 50, 100):
            assert abs(labels[order[:size]].sum() - size / 10) <= 1
    assert label_counts(20) == [20]


@pytest.mark.parametrize("kind", ["regression", "multi_label"])
def test_other_kinds_have_curves_too(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdna.downstream.tasks.learning_curve.draws_for", lambda labels: FEW)
    problem = motif_problem(kind, train=40)

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        return np.random.default_rng(len(train)).random(asked.labels.shape)

    main = "spearman" if kind == "regression" else "auroc"
    found = learning_curve(problem, method, method, figures_of(problem, 20)[main], lambda line: None)
    assert found["learning_curve"][-1]["difference"]["value"] == 0
