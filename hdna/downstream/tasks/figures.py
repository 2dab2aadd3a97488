"""Which figures of quality a kind of task has, and what they are reckoned from.

Shapes: R things that are judged (rows, or bases whose label is known), K classes or labels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.downstream import metrics
from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.tasks.problem import Kind, Labels, Problem, Rows

Figure = Callable[[Any, Floats], float]
"""Of labels, of the type of their kind, and scores of the same R things; NaN where it is not defined."""

MAIN: dict[Kind, str] = {"single_label": "mcc", "multi_label": "auroc", "regression": "spearman", "per_base": "mcc"}
"""What a kind is judged by where one figure must do."""


@dataclass(frozen=True)
class Judged:
    """The test rows as things to judge."""

    labels: Labels
    """(R,), or (R, K) of a multi-label task, -1 where missing."""
    groups_R: Ints
    row_R: Ints
    """The row that each is, or is of."""
    taken: Ints
    """Where their scores are among those of a method."""

    def of_rows(self, kept_N: npt.NDArray[np.bool_]) -> "Judged":
        """Those of some rows."""
        kept = kept_N[self.row_R]
        return Judged(self.labels[kept], self.groups_R[kept], self.row_R[kept], self.taken[kept])


def judged(problem: Problem, rows: Rows) -> Judged:
    """What a method's scores of `rows` are judged on."""
    if problem.kind != "per_base":
        return Judged(rows.labels, rows.groups, np.arange(len(rows)), np.arange(len(rows)))
    row_M = np.repeat(np.arange(len(rows)), [len(own) for own in rows.tokens])
    known = np.flatnonzero(rows.labels >= 0)
    return Judged(rows.labels[known], rows.groups[row_M[known]], row_M[known], known)


def figures_of(problem: Problem, top: int, label_groups: Mapping[str, slice] | None = None) -> dict[str, Figure]:
    """The figures of a problem by name; `top`: K of recall at K; `label_groups`: labels to have a median AUROC of."""
    if problem.kind == "regression":
        return {"spearman": metrics.spearman, "r2": metrics.r2, "pearson": metrics.pearson}
    if problem.kind == "multi_label":
        return _of_labels(top, label_groups or {})
    return _of_classes(len(problem.names), top)


def confidence(kind: Kind, labels: Ints, scores: Floats) -> tuple[Ints, Floats]:
    """Whether each guess is right, and how sure the method was: what calibration is told from.

    Of classes, the one with the highest probability is guessed; of labels, each alone, those that are missing left out.
    """
    if kind == "multi_label":
        known = labels >= 0
        truth, score = labels[known], scores[known]
        return ((score >= 0.5) == truth).astype(np.int64), np.maximum(score, 1 - score)
    guess = scores.argmax(1)
    return (guess == labels).astype(np.int64), scores.max(1)


def _of_classes(classes: int, top: int) -> dict[str, Figure]:
    def of_guess(figure: Callable[..., float], *more: int) -> Figure:
        return lambda labels, scores: figure(labels, scores.argmax(1), *more)

    def one_against_rest(figure: Callable[[Ints, Floats], float]) -> Figure:
        if classes == 2:
            return lambda labels, scores: figure(labels, scores[:, 1])
        return lambda labels, scores: metrics.mean_over_columns(
            figure, (labels[:, None] == np.arange(classes)).astype(np.int64), scores
        )

    return {
        "mcc": of_guess(metrics.mcc, classes),
        "accuracy": of_guess(metrics.accuracy),
        "f1": of_guess(metrics.f1, classes),
        "f1_macro": of_guess(metrics.f1, max(classes, 3)),  # of three, a third that no row has, it is the mean of two
        "auroc": one_against_rest(metrics.auroc),
        "auprc": one_against_rest(metrics.auprc),
        "recall_at_k": one_against_rest(partial(metrics.recall_at, k=top)),
        "ece": lambda labels, scores: metrics.calibration_error(*confidence("single_label", labels, scores)),
    }


def _of_labels(top: int, groups: Mapping[str, slice]) -> dict[str, Figure]:
    def mean(figure: Callable[[Ints, Floats], float]) -> Figure:
        return lambda labels, scores: metrics.mean_over_columns(figure, labels, scores)

    def of_guess(figure: Callable[..., float]) -> Figure:
        return mean(lambda truth, score: figure(truth, (score >= 0.5).astype(np.int64), 2))

    found: dict[str, Figure] = {
        "auroc": mean(metrics.auroc),
        "auprc": mean(metrics.auprc),
        "mcc": of_guess(metrics.mcc),
        "f1": of_guess(metrics.f1),
        "recall_at_k": mean(partial(metrics.recall_at, k=top)),
        "ece": lambda labels, scores: metrics.calibration_error(*confidence("multi_label", labels, scores)),
    }
    return found | {f"median_auroc_{name}": partial(_median_auroc, part=part) for name, part in groups.items()}


def _median_auroc(labels: Ints, scores: Floats, part: slice) -> float:
    values = []
    for truth, score in zip(labels[:, part].T, scores[:, part].T, strict=True):
        values.append(metrics.auroc(truth[truth >= 0], score[truth >= 0]))
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
