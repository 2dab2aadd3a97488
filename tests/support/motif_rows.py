"""Labelled rows of which a motif decides the label, or nothing does."""

import numpy as np

from hdna.downstream.metrics import Ints
from hdna.downstream.tasks.problem import Kind, Labels, Problem, Rows
from hdna.genome.alphabet import A, C, G, T

MOTIF = np.array([A, C, G, T, A, A, C, C], np.uint8)


def motif_rows(count: int, seed: int, kind: Kind = "single_label", groups: int = 0, noise: bool = False) -> Rows:
    """Sequences of 60 to 90 bases, half of them with two copies of the motif; `noise`: labels drawn without them."""
    rng = np.random.default_rng(seed)
    has: Ints = rng.permutation(np.arange(count) % 2)
    tokens, marks = [], []
    for row in range(count):
        own = rng.integers(A, T + 1, size=rng.integers(60, 91)).astype(np.uint8)
        mark = np.zeros(len(own), np.int64)
        for start in (10, 40) if has[row] else ():
            own[start : start + len(MOTIF)] = MOTIF
            mark[start : start + len(MOTIF)] = 1
        tokens.append(own)
        marks.append(mark)
    label = rng.permutation(has) if noise else has
    labels: dict[Kind, Labels] = {
        "single_label": label,
        "multi_label": np.stack([label, np.where(rng.random(count) < 0.2, -1, 1 - label), np.zeros_like(label)], 1),
        "regression": 5.0 + 2.0 * label + rng.normal(scale=0.1, size=count),
        "per_base": np.concatenate(marks),
    }
    return Rows(tokens, labels[kind], rng.integers(groups, size=count) if groups else np.arange(count))


def motif_problem(
    kind: Kind = "single_label", train: int = 240, groups: int = 0, noise: bool = False, seed: int = 0
) -> Problem:
    """A problem of such rows."""
    names = {"single_label": ["no", "yes"], "multi_label": ["a", "b", "c"], "regression": ["n"], "per_base": ["-", "+"]}
    parts = [motif_rows(count, seed + part, kind, groups, noise) for part, count in enumerate((train, 80, 160))]
    return Problem("motif", kind, names[kind], *parts)
