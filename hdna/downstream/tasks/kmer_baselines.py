"""Baselines that know no more than k-mers: logistic regression and gradient boosting. The door to scikit-learn.

Of per-base labels they see the letters around the base instead. What is chosen is chosen by the loss on valid rows.
Shapes: N rows (of per-base labels: bases), K classes or labels, F features.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.tasks.kmer_features import kmer_counts, letters_around
from hdna.downstream.tasks.problem import Kind, Labels, Method, Problem, Rows
from hdna.errors import InputError
from hdna.genome.packing import Bytes

MOST_ROWS = 50_000
"""Train rows that are used, drawn at random of more; a tenth as many of per-base labels."""
_KMERS, _REACHES = (4, 5, 6), (5, 10)
_BOOSTED_KMERS, _BOOSTED_REACHES = (3, 4), (10,)
"""Shorter: boosting needs a dense matrix, of 4^k columns."""
_STRENGTHS = (1e-3, 1e-2, 1e-1)
"""scikit-learn's C, on features of standard deviation 1."""
_ITERATIONS, _TREES = 200, 200
_SMALLEST = 1e-12

Fitted = Callable[[Any], Floats]
"""Scores of features."""


@dataclass(frozen=True)
class _Known:
    """Rows to learn from, or to choose by."""

    features: Any
    """(N, F), dense or scipy's compressed rows."""
    labels: Any


def kmer_logistic() -> Method:
    """Logistic regression (of numbers, ridge regression) on k-mer counts, each k-mer in units of its spread.

    Raises InputError when scikit-learn is not installed.
    """
    _scikit_learn()
    return _best_of(_KMERS, _REACHES, _sparse, _fit_linear)


def kmer_boosting() -> Method:
    """Gradient boosting of trees on k-mer counts, ended early where the valid loss no longer falls.

    Raises InputError when scikit-learn is not installed.
    """
    _scikit_learn()
    return _best_of(_BOOSTED_KMERS, _BOOSTED_REACHES, _dense, _fit_trees)


def _best_of(
    kmers: Sequence[int],
    reaches: Sequence[int],
    features: Callable[[Kind, Sequence[Bytes], int], Any],
    fit: Callable[[Problem, _Known, _Known], Iterable[Fitted]],
) -> Method:
    """Of all sizes of k-mers, and all that `fit` makes of each, the one whose valid loss is the lowest."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        kind, train = problem.kind, _some_rows(train, problem.kind)
        found = list[tuple[float, int, Fitted]]()
        for size in reaches if kind == "per_base" else kmers:
            held = _Known(features(kind, valid.tokens, size), valid.labels)
            for fitted in fit(problem, _Known(features(kind, train.tokens, size), train.labels), held):
                found.append((_loss(kind, valid.labels, fitted(held.features)), size, fitted))
        _, size, fitted = min(found, key=lambda candidate: candidate[0])
        return fitted(features(kind, asked.tokens, size))

    return method


def _fit_linear(problem: Problem, train: _Known, valid: _Known) -> Iterator[Fitted]:
    tools = _scikit_learn()
    scaler = tools.StandardScaler(with_mean=False)
    scaled = _Known(scaler.fit_transform(train.features), train.labels)
    for strength in _STRENGTHS:
        if problem.kind == "regression":
            fitted = tools.Ridge(alpha=1 / strength, solver="lsqr").fit(scaled.features, scaled.labels).predict
        else:
            model = tools.LogisticRegression(C=strength, max_iter=_ITERATIONS)
            fitted = _fit_classes(problem, model, scaled, None)
        yield _after(scaler.transform, fitted)


def _fit_trees(problem: Problem, train: _Known, valid: _Known) -> Iterator[Fitted]:
    tools = _scikit_learn()
    options = {"max_iter": _TREES, "early_stopping": True, "random_state": 0}
    if problem.kind == "regression":
        model = tools.HistGradientBoostingRegressor(**options)
        yield model.fit(train.features, train.labels, X_val=valid.features, y_val=valid.labels).predict
    else:
        yield _fit_classes(problem, tools.HistGradientBoostingClassifier(**options), train, valid)


def _after(first: Callable[[Any], Any], then: Fitted) -> Fitted:
    return lambda asked: then(first(asked))


def _fit_classes(problem: Problem, model: Any, train: _Known, valid: _Known | None) -> Fitted:  # noqa: ANN401
    """A classifier like `model`, or one for each label; `valid`: rows to stop by."""
    if problem.kind != "multi_label":
        return _fit_one(model, train, valid, len(problem.names))
    ones = []
    for label in range(len(problem.names)):
        held = None if valid is None else _Known(valid.features, valid.labels[:, label])
        ones.append(_fit_one(model, _Known(train.features, train.labels[:, label]), held, 2))
    return lambda asked: np.stack([one(asked)[:, 1] for one in ones], 1)


def _fit_one(model: Any, train: _Known, valid: _Known | None, classes: int) -> Fitted:  # noqa: ANN401
    """Probabilities (N, classes), also of classes that no train row has."""
    known = train.labels >= 0
    seen = np.unique(train.labels[known])
    if len(seen) < 2:
        return lambda asked: _spread(np.ones((asked.shape[0], len(seen))), seen, classes)
    model, more = _scikit_learn().clone(model), {}
    if valid is not None:
        usable = np.isin(valid.labels, seen)
        model.set_params(early_stopping=bool(usable.any()))
        more = {"X_val": valid.features[usable], "y_val": valid.labels[usable]} if usable.any() else {}
    model.fit(train.features[known], train.labels[known], **more)
    return lambda asked: _spread(model.predict_proba(asked), seen, classes)


def _spread(found: Floats, seen: Ints, classes: int) -> Floats:
    scores = np.zeros((len(found), classes))
    scores[:, seen] = found
    return scores


def _loss(kind: Kind, labels: Labels, scores: Floats) -> float:
    if kind == "regression":
        return float(np.mean((labels - scores) ** 2))
    known = labels >= 0
    if kind == "multi_label":
        right = np.where(labels == 1, scores, 1 - scores)[known]
    else:
        right = scores[np.flatnonzero(known), labels[known].astype(np.int64)]
    return float(-np.mean(np.log(np.maximum(right, _SMALLEST)))) if right.size else 0.0


def _some_rows(rows: Rows, kind: Kind) -> Rows:
    most = MOST_ROWS // 10 if kind == "per_base" else MOST_ROWS
    return rows if len(rows) <= most else rows.take(np.sort(np.random.default_rng(0).permutation(len(rows))[:most]))


def _sparse(kind: Kind, tokens: Sequence[Bytes], size: int) -> Any:  # noqa: ANN401 - scipy's matrices have no types
    """(N, F) in compressed rows."""
    tools = _scikit_learn()
    if kind == "per_base":
        return tools.csr_matrix(letters_around(tokens, size), dtype=np.float64)
    rows, kmers, counts = kmer_counts(tokens, size)
    return tools.csr_matrix((counts.astype(np.float64), (rows, kmers)), shape=(len(tokens), 4**size))


def _dense(kind: Kind, tokens: Sequence[Bytes], size: int) -> npt.NDArray[Any]:
    if kind == "per_base":
        return letters_around(tokens, size)
    rows, kmers, counts = kmer_counts(tokens, size)
    table = np.zeros((len(tokens), 4**size), np.float32)
    table[rows, kmers] = counts
    return table


def _scikit_learn() -> SimpleNamespace:
    """What is used of scikit-learn, and of the library that its sparse matrices are from."""
    try:
        from scipy.sparse import csr_matrix
        from sklearn.base import clone
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise InputError("the k-mer baselines need scikit-learn: run pip install 'hdna[eval]'") from None
    return SimpleNamespace(
        clone=clone,
        csr_matrix=csr_matrix,
        HistGradientBoostingClassifier=HistGradientBoostingClassifier,
        HistGradientBoostingRegressor=HistGradientBoostingRegressor,
        LogisticRegression=LogisticRegression,
        Ridge=Ridge,
        StandardScaler=StandardScaler,
    )
