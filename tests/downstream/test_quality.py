"""Figures of quality equal scikit-learn's and scipy's; intervals cover what they say."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from hdna.downstream import metrics
from hdna.downstream.bootstrap import _t_quantile, estimate


def rows(classes: int, seed: int = 0) -> tuple[metrics.Ints, metrics.Ints]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=300)
    return truth, np.where(rng.random(300) < 0.6, truth, rng.integers(classes, size=300))


def scores(seed: int = 0) -> tuple[metrics.Ints, metrics.Floats]:
    """A few hundred rows whose scores have many ties."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(400) < 0.2).astype(np.int64)
    return truth, np.round(truth + rng.normal(size=400), 1)


def mean_of(values: metrics.Floats) -> Callable[[metrics.Ints], float]:
    return lambda rows: float(values[rows].mean())


@pytest.mark.parametrize("classes", [2, 5])
def test_figures_of_classes_equal_scikit_learn(classes: int) -> None:
    truth, guess = rows(classes)
    assert metrics.accuracy(truth, guess) == peer.accuracy_score(truth, guess)
    assert metrics.mcc(truth, guess, classes) == pytest.approx(peer.matthews_corrcoef(truth, guess), abs=1e-12)
    average = "binary" if classes == 2 else "macro"
    assert metrics.f1(truth, guess, classes) == pytest.approx(peer.f1_score(truth, guess, average=average), abs=1e-12)


def test_figures_of_scores_equal_scikit_learn_with_ties() -> None:
    truth, score = scores()
    assert metrics.auroc(truth, score) == pytest.approx(peer.roc_auc_score(truth, score), abs=1e-12)
    assert metrics.auprc(truth, score) == pytest.approx(peer.average_precision_score(truth, score), abs=1e-12)


def test_figures_of_numbers_equal_scipy() -> None:
    truth, score = scores()
    noisy = truth + np.random.default_rng(3).normal(size=len(truth))
    assert metrics.spearman(noisy, score) == pytest.approx(stats.spearmanr(noisy, score).statistic, abs=1e-12)
    assert metrics.pearson(noisy, score) == pytest.approx(stats.pearsonr(noisy, score).statistic, abs=1e-12)
    assert metrics.r2(noisy, score) == pytest.approx(peer.r2_score(noisy, score), abs=1e-12)


def test_recall_at_k_counts_the_positives_among_the_highest() -> None:
    truth = np.array([1, 0, 1, 0, 1])
    score = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    assert metrics.recall_at(truth, score, 3) == pytest.approx(2 / 3)


def test_a_calibrated_model_has_no_calibration_error_and_a_boastful_one_its_excess() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, size=200_000)
    right = (rng.random(200_000) < confidence).astype(np.int64)
    assert metrics.calibration_error(right, confidence) < 0.01  # sampling noise of bins of 20,000 rows
    assert metrics.calibration_error(right, np.full(200_000, 1.0)) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("freedom", [4, 9, 49, 999])
def test_the_quantile_of_t_is_that_of_scipy(freedom: int) -> None:
    assert _t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-3)  # an expansion of four terms


def test_rows_of_one_class_have_no_auroc_and_no_interval() -> None:
    truth, score = np.zeros(50, np.int64), np.arange(50.0)
    found = estimate(lambda rows: metrics.auroc(truth[rows], score[rows]), np.arange(50))
    assert (found.value, found.low, found.high) == (None, None, None)


def test_intervals_of_a_mean_cover_it_95_times_in_100() -> None:
    """200 samples of 30 groups of 4 alike rows: 93 to 97 % by the issue, 3 standard errors of 200 trials more here."""
    rng = np.random.default_rng(1)
    groups, covered = np.repeat(np.arange(30), 4), 0
    for trial in range(200):
        values = np.repeat(rng.normal(size=30), 4) + rng.normal(size=120)
        found = estimate(mean_of(values), groups, draws=200, seed=trial)
        covered += found.low <= 0 <= found.high  # type: ignore[operator]
    assert 0.90 <= covered / 200 <= 0.99


def test_groups_that_are_alike_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(2).normal(size=20), 50)
    alone = estimate(mean_of(values), np.arange(1000))
    grouped = estimate(mean_of(values), np.repeat(np.arange(20), 50))
    assert grouped.high - grouped.low > 4 * (alone.high - alone.low)  # type: ignore[operator]  # sqrt(50) = 7
