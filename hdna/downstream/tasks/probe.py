"""A linear probe: frozen features, and the best linear layer on them.

Shapes: N rows (of per-base labels: bases), F features, K outputs.

The layer minimises the mean loss over labels plus strength / 2 times the sum of its squared weights on standardised
features, to convergence, in fp64: for single labels what scikit-learn calls LogisticRegression, with
C = 1 / (strength N).
"""

import numpy as np
import torch
from torch import Tensor

from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.problem import Method, Problem, Rows
from hdna.downstream.tasks.task_model import TaskModel, lengths

STRENGTHS = tuple(10.0**power for power in range(0, -7, -1))
"""Of the penalty, of which the valid part chooses one; each fit begins where the one before it ended."""
MOST_BASES = 2**18
"""Train bases of per-base labels that a probe learns from, of rows drawn at random: their features fill 0.5 GiB."""
CHUNK = 2**16
"""Rows whose logits are in memory at once."""
_ITERATIONS, _TOLERANCE = 500, 1e-7
_CURVATURE = 0.25
"""Of the nats of a yes or a no, where both are equally likely."""


def probe(subject: Subject) -> Method:
    """Learn nothing but a linear layer on the model's hidden states."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        probed = TaskModel(subject.model, Head.of(problem, train))
        fit_head(probed, train, valid)
        return probed.meaning.scores(probed.over(asked, probed, probed.meaning.outputs))

    return method


def fit_head(model: TaskModel, train: Rows, valid: Rows) -> None:
    """Set the head to the linear layer on the model's features that the valid part likes best, in fp64.

    Features vary little about large means, so that weights are large, and fp32 would round answers.
    """
    meaning, width = model.meaning, model.head.in_features
    if meaning.kind == "per_base":
        train, valid = (some_bases(rows, MOST_BASES) for rows in (train, valid))
    train_NF, valid_NF = (model.over(rows, model.features, width) for rows in (train, valid))
    centre_F, spread_F = train_NF.mean(0), train_NF.std(0).clamp(min=1e-6)
    for features_NF in (train_NF, valid_NF):
        features_NF.sub_(centre_F).div_(spread_F)
    layer = torch.nn.Linear(width, meaning.outputs, dtype=torch.float64, device=model.device)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    best, found = float("inf"), (layer.weight.detach(), layer.bias.detach())
    for strength in STRENGTHS:
        fit_layer(layer, meaning, train_NF, train, strength)
        with torch.no_grad():
            loss = float(meaning.loss(layer(valid_NF), valid.labels))
        if loss < best:
            best, found = loss, (layer.weight.detach() / spread_F, layer.bias.detach().clone())
    weight_KF, bias_K = found
    model.head.double()
    with torch.no_grad():
        model.head.weight.copy_(weight_KF)
        model.head.bias.copy_(bias_K - weight_KF @ centre_F)


def fit_layer(layer: torch.nn.Linear, meaning: Head, features_NF: Tensor, rows: Rows, strength: float) -> None:
    """Minimise the penalised mean loss over a layer's weights and bias, from where they are.

    Weights are sought in coordinates in which the loss curves alike in all directions, at least where all answers are
    equally likely: features are strongly correlated, and L-BFGS would need hundreds of steps for what takes tens.
    """
    count = meaning.count(rows.labels)
    spread_F, axes_FF = torch.linalg.eigh(features_NF.T @ features_NF / len(features_NF))
    scale_F = (_CURVATURE * spread_F.clamp(min=0) + strength).sqrt()
    weight_of_place_FF = axes_FF / scale_F
    place_FK = ((layer.weight.detach() @ axes_FF) * scale_F).T.contiguous().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [place_FK, layer.bias],
        max_iter=_ITERATIONS,
        tolerance_grad=_TOLERANCE,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss_and_gradient() -> Tensor:
        optimizer.zero_grad()
        weight_FK = (weight_of_place_FF @ place_FK).detach().requires_grad_()
        total: Tensor = 0.5 * strength * (weight_FK**2).sum()
        total.backward()
        for start in range(0, len(features_NF), CHUNK):
            part = slice(start, start + CHUNK)
            share = meaning.loss(features_NF[part] @ weight_FK + layer.bias, rows.labels[part]) / count
            share.backward()
            total = total + share.detach()
        assert weight_FK.grad is not None
        place_FK.grad = weight_of_place_FF.T @ weight_FK.grad
        return total.detach()

    optimizer.step(loss_and_gradient)
    with torch.no_grad():
        layer.weight.copy_((weight_of_place_FF @ place_FK).T)


def some_bases(rows: Rows, most: int, seed: int = 0) -> Rows:
    """Rows drawn at random until they have so many bases, or one row; all rows if they have fewer."""
    order: Ints = np.random.default_rng(seed).permutation(len(rows))
    count = int((np.cumsum(lengths(rows)[order]) <= most).sum())
    return rows if count == len(rows) else rows.take(order[: max(1, count)])
