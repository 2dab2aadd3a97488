"""Labelled sets whose answer is known: a stretch of AT repeats decides."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import torch

from hdna.config import ModelConfig, RunConfig
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.problem import Kind, Problem, Rows
from hdna.genome.alphabet import A, T
from hdna.model import HyenaDNA

MOTIF = np.array([A, T] * 12, np.uint8)


def untrained_subject(d_model: int = 8, l_max: int = 256) -> Subject:
    """Weights that have learned nothing, which is enough to learn from labels."""
    torch.manual_seed(0)
    config = ModelConfig(d_model=d_model, n_layer=2, l_max=l_max, embed_dropout=0.0)
    model = HyenaDNA(config).eval().requires_grad_(False)
    recipe = cast(RunConfig, SimpleNamespace(model=config))
    return Subject("memory", 1, 1, "0" * 64, recipe, model, torch.device("cpu"))


def planted_rows(count: int, seed: int, kind: Kind = "single_label") -> Rows:
    """Random sequences of 30 to 60 bases, every second one with the motif."""
    rng = np.random.default_rng(seed)
    tokens, has, marks = [], np.arange(count) % 2, []
    for row in range(count):
        own = rng.integers(A, T + 1, size=rng.integers(30, 61)).astype(np.uint8)
        start = rng.integers(0, len(own) - len(MOTIF))
        mark = np.zeros(len(own), np.int64)
        if has[row]:
            own[start : start + len(MOTIF)] = MOTIF
            mark[start : start + len(MOTIF)] = 1
        tokens.append(own)
        marks.append(mark)
    labels = {
        "single_label": has,
        "multi_label": np.stack([has, 1 - has, rng.integers(-1, 2, size=count)], 1),
        "regression": 100.0 + 20.0 * has,
        "per_base": np.concatenate(marks),
    }[kind]
    return Rows(tokens, labels, np.arange(count))


def planted_problem(kind: Kind = "single_label", train: int = 120) -> Problem:
    """A problem whose test rows a method gets right if it finds the motif."""
    names = {"single_label": ["no", "yes"], "multi_label": ["a", "b", "c"], "regression": ["n"]}.get(kind, ["-", "+"])
    parts = (planted_rows(count, seed, kind) for seed, count in enumerate((train, 60, 100)))
    return Problem("planted", kind, names, *parts)
