"""A labelled set in memory, and what any method makes of it.

Shapes: N rows, K classes or labels, M bases of all rows together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hdna.downstream.metrics import Floats, Ints

Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Kind = Literal["single_label", "multi_label", "regression", "per_base"]


@dataclass(frozen=True)
class Rows:
    """Some rows of one split."""

    tokens: Sequence[npt.NDArray[np.uint8]]
    """The sequence of each row, (length,) in the model's vocabulary."""
    labels: Labels
    """single_label: (N,) classes; multi_label: (N, K) of 0 and 1, -1 where missing; regression: (N,) numbers;
    per_base: (M,) classes of the rows' bases one after another, -1 where missing."""
    groups: Ints
    """(N,) what each row is alike with, for intervals: its chromosome where that is known, else a number of its own."""

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: Ints) -> "Rows":
        """The rows of those numbers, in that order."""
        tokens = [self.tokens[row] for row in rows]
        if len(self.labels) == len(self.tokens):
            return Rows(tokens, self.labels[rows], self.groups[rows])
        ends = np.cumsum([len(own) for own in self.tokens])
        bases = [np.arange(ends[row] - len(self.tokens[row]), ends[row]) for row in rows]
        return Rows(tokens, self.labels[np.concatenate(bases)], self.groups[rows])


@dataclass(frozen=True)
class Problem:
    """What is to be told from a sequence."""

    name: str
    kind: Kind
    names: Sequence[str]
    """Of the K classes, or of the labels; of a regression, of its one number."""
    train: Rows
    valid: Rows
    """For early stopping and choices; no test row ever is."""
    test: Rows


Method = Callable[[Problem, Rows, Rows, Rows], Floats]
"""`method(problem, train, valid, asked)` learns from `train`, chooses by `valid`, and scores the rows asked about:
(N, K) probabilities of classes (which sum to 1) or of labels, (N,) numbers, or (M, K) probabilities for each base."""
