"""How good predictions are: the usual figures, each a function of arrays, NaN where it is not defined.

Shapes: N rows, K classes. Held against scikit-learn and scipy in the tests; ours are plain numpy because a bootstrap
calls them a thousand times.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BINS = 15
"""Of equal width, for the calibration error: the number that most papers use (Guo et al., 2017)."""


def accuracy(truth_N: Ints, guess_N: Ints) -> float:
    """Share of rows whose class is guessed."""
    return float(np.mean(truth_N == guess_N)) if len(truth_N) else np.nan


def confusion(truth_N: Ints, guess_N: Ints, classes: int) -> Ints:
    """(K, K) rows by true class, then guessed one."""
    return np.bincount(truth_N * classes + guess_N, minlength=classes * classes).reshape(classes, classes)


def mcc(truth_N: Ints, guess_N: Ints, classes: int) -> float:
    """Matthews correlation, for any number of classes (Gorodkin, 2004); 0 where one class alone is true or guessed."""
    table = confusion(truth_N, guess_N, classes).astype(np.float64)
    total, right = table.sum(), np.trace(table)
    true_K, guessed_K = table.sum(1), table.sum(0)
    spread = (total**2 - (true_K**2).sum()) * (total**2 - (guessed_K**2).sum())
    return float((right * total - true_K @ guessed_K) / np.sqrt(spread)) if spread > 0 else 0.0


def f1(truth_N: Ints, guess_N: Ints, classes: int) -> float:
    """F1 of class 1 of two classes; of more, the mean over those that are true or guessed of any row (macro)."""
    table = confusion(truth_N, guess_N, classes)
    both_K, hits_K = table.sum(0) + table.sum(1), np.diag(table)
    per_class = 2 * hits_K / np.maximum(both_K, 1)
    return float(per_class[1]) if classes == 2 else float(per_class[both_K > 0].mean())


def auroc(truth_N: Ints, score_N: Floats) -> float:
    """Probability that a positive row scores above a negative one, ties counting half."""
    positives = int(truth_N.sum())
    negatives = len(truth_N) - positives
    if not positives or not negatives:
        return np.nan
    return float((ranks(score_N)[truth_N == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auprc(truth_N: Ints, score_N: Floats) -> float:
    """Average precision: the mean over positive rows of the precision at their score (no interpolation)."""
    if not truth_N.any():
        return np.nan
    order = np.argsort(-score_N, kind="stable")
    hits = np.cumsum(truth_N[order])
    last = np.flatnonzero(np.append(np.diff(score_N[order]) != 0, True))  # rows of one score count together
    precision, new = hits[last] / (last + 1), np.diff(hits[last], prepend=0)
    return float(precision @ new / hits[-1])


def recall_at(truth_N: Ints, score_N: Floats, k: int) -> float:
    """Share of the positive rows that are among the k that score highest."""
    positives = int(truth_N.sum())
    return float(truth_N[np.argsort(-score_N, kind="stable")[:k]].sum() / positives) if positives else np.nan


def reliability(right_N: Ints, confidence_N: Floats) -> tuple[Ints, Floats, Floats]:
    """Rows, mean confidence and share of right ones in each of BINS bins of confidence, NaN in empty ones."""
    bin_N = np.minimum((confidence_N * BINS).astype(np.int64), BINS - 1)
    rows = np.bincount(bin_N, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(bin_N, confidence_N, BINS) / rows
        share = np.bincount(bin_N, right_N, BINS) / rows
    return rows, mean, share


def calibration_error(right_N: Ints, confidence_N: Floats) -> float:
    """Expected calibration error: mean over rows of |share of right ones - mean confidence| of their bin."""
    rows, mean, share = reliability(right_N, confidence_N)
    return float(np.nansum(rows * np.abs(share - mean)) / len(right_N)) if len(right_N) else np.nan


def pearson(truth_N: Floats, guess_N: Floats) -> float:
    """Linear correlation."""
    truth, guess = truth_N - truth_N.mean(), guess_N - guess_N.mean()
    spread = np.sqrt((truth @ truth) * (guess @ guess))
    return float(truth @ guess / spread) if spread > 0 else np.nan


def spearman(truth_N: Floats, guess_N: Floats) -> float:
    """Correlation of ranks."""
    return pearson(ranks(truth_N), ranks(guess_N))


def r2(truth_N: Floats, guess_N: Floats) -> float:
    """Share of the variance that is explained; below 0 for a guess worse than the mean."""
    spread = ((truth_N - truth_N.mean()) ** 2).sum()
    return float(1 - ((truth_N - guess_N) ** 2).sum() / spread) if spread > 0 else np.nan


def mean_over_columns(figure: Callable[[Ints, Floats], float], truth_NK: Ints, score_NK: Floats) -> float:
    """A figure's mean over labels of which it is defined; missing labels (below 0) are left out."""
    values = []
    for column in range(truth_NK.shape[1]):
        known = truth_NK[:, column] >= 0
        values.append(figure(truth_NK[known, column], score_NK[known, column]))
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def ranks(values_N: Floats) -> Floats:
    """From 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: Floats = (ends - (counts - 1) / 2)[place]
    return mean
