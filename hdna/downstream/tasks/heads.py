"""What the numbers of a linear layer mean for each kind of label: its loss, and the scores that users get.

Shapes: N rows (of per-base labels: bases), K outputs.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.downstream.metrics import Floats
from hdna.downstream.tasks.problem import Kind, Labels, Problem, Rows

MISSING = -1
"""A label that nobody knows: it counts nothing."""


@dataclass(frozen=True)
class Head:
    """The outputs of a problem."""

    kind: Kind
    outputs: int
    centre: float = 0.0
    """Mean of a regression's train labels, which its output is relative to."""
    spread: float = 1.0
    """Their standard deviation, which is its unit."""

    @classmethod
    def of(cls, problem: Problem, train: Rows) -> "Head":
        """The head of a problem; what it must know of labels is from its train rows."""
        if problem.kind != "regression":
            return cls(problem.kind, len(problem.names))
        return cls(problem.kind, 1, float(np.mean(train.labels)), float(np.std(train.labels)) or 1.0)

    def count(self, labels: Labels) -> int:
        """How many labels there are."""
        return len(labels) if self.kind == "regression" else int((labels != MISSING).sum())

    def loss(self, logits_NK: Tensor, labels: Labels) -> Tensor:
        """The sum over labels of nats, or of half the squared error in units of `spread`; missing ones add nothing."""
        truth = torch.as_tensor(labels, device=logits_NK.device)
        if self.kind == "regression":
            wanted_N = ((truth - self.centre) / self.spread).to(logits_NK.dtype)
            return 0.5 * ((logits_NK[:, 0] - wanted_N) ** 2).sum()
        if self.kind == "multi_label":
            known_NK = (truth != MISSING).to(logits_NK.dtype)
            nats_NK = F.binary_cross_entropy_with_logits(logits_NK, truth.to(logits_NK.dtype), reduction="none")
            return (nats_NK * known_NK).sum()
        return F.cross_entropy(logits_NK, truth, ignore_index=MISSING, reduction="sum")

    def scores(self, logits_NK: Tensor) -> Floats:
        """(N, K) probabilities, or the (N,) numbers of a regression."""
        logits_NK = logits_NK.double()
        if self.kind == "regression":
            found = logits_NK[:, 0] * self.spread + self.centre
        else:
            found = logits_NK.sigmoid() if self.kind == "multi_label" else logits_NK.softmax(-1)
        scores: Floats = found.cpu().numpy()
        return scores
