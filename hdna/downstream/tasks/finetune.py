"""Fine-tuning: every weight learns, from where pretraining left it or from a new draw.

The head begins at zero. To begin it as the linear probe's (Kumar et al., arXiv 2202.10054) was tried: its weights are
so large that the first changes of the model throw the loss above where it began, and less was learned in the end.

Long sequences are learned from short to long, as the paper does for species (section 4.4): the first epoch sees crops
of `first_length` bases at random places, each further one twice as long, until all are whole. These epochs come before
those of the schedule.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.downstream.metrics import Floats, Ints
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.features import ONE_PROCESS
from hdna.downstream.tasks.fitting import Schedule, Step, fit
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.problem import Method, Problem, Rows
from hdna.downstream.tasks.task_model import TaskModel, lengths
from hdna.model import HyenaDNA
from hdna.parallel import Mesh
from hdna.train.optim import RATE, parameter_groups

FIRST_LENGTH = 8192
"""Bases of the first epoch's crops of longer sequences."""
DEFAULT = Schedule(epochs=6, learning_rate=1e-3, rows_per_step=32, patience=3)
"""For a few thousand rows of a few hundred bases: of 3e-4, 1e-3 and 3e-3 the best valid loss of `scratch` on promoters,
and as good as any of `finetune`, by hand. Early losses go up and down at this rate: a patience of 2 ended too soon."""
RECOMPUTED_FROM = 2**15
"""Bases of a sequence from which on activations are computed again instead of kept."""


def finetune(
    subject: Subject, schedule: Schedule = DEFAULT, first_length: int = FIRST_LENGTH, mesh: Mesh = ONE_PROCESS
) -> Method:
    """Learn all weights, from the subject's; called by all ranks of a mesh."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        return _tuned(copy_of(subject, schedule.seed), schedule, first_length, mesh)(problem, train, valid, asked)

    return method


def scratch(
    subject: Subject, schedule: Schedule = DEFAULT, first_length: int = FIRST_LENGTH, mesh: Mesh = ONE_PROCESS
) -> Method:
    """The same from new weights: what pretraining has to beat."""

    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        model = new_model(subject.config.model, subject.device, schedule.seed)
        return _tuned(model, schedule, first_length, mesh)(problem, train, valid, asked)

    return method


def copy_of(subject: Subject, seed: int) -> HyenaDNA:
    """A model with the subject's weights, to be changed."""
    model = new_model(subject.config.model, subject.device, seed)
    model.load_state_dict(subject.model.state_dict())
    return model


def new_model(config: ModelConfig, device: torch.device, seed: int) -> HyenaDNA:
    """A model with new weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HyenaDNA(config).to(device)


def _tuned(model: HyenaDNA, schedule: Schedule, first_length: int, mesh: Mesh) -> Method:
    def method(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        meaning = Head.of(problem, train)
        tuned = TaskModel(model, meaning, mesh)
        longest = int(lengths(train).max())
        model.backbone.activation_checkpointing = longest >= RECOMPUTED_FROM
        shorter = epochs_of_crops(longest, first_length)
        lengthened = replace(schedule, epochs=schedule.epochs + shorter, unhurried=shorter)

        def gradient(step: Step) -> None:
            model.train()
            rows = cropped(train.take(step.rows), first_length << step.epoch, (schedule.seed, step.number))
            add_gradient(tuned, rows, step.number)

        def valid_loss() -> float:
            model.eval()
            return float(meaning.loss(tuned.over(valid, tuned, meaning.outputs), valid.labels))

        head = {"params": list(tuned.head.parameters()), "weight_decay": 0.0, RATE: 1.0}
        fit([*groups_of(model, schedule), head], len(train), gradient, valid_loss, lengthened, mesh)
        model.eval()
        return meaning.scores(tuned.over(asked, tuned, meaning.outputs))

    return method


def groups_of(model: HyenaDNA, schedule: Schedule) -> list[dict[str, Any]]:
    """Parameter groups as in pretraining, each with the rate that its size asks for."""
    groups = []
    new = dict(new_model(model.config, model.embedding.weight.device, schedule.seed).named_parameters())
    for name, parameter in model.named_parameters():
        grown = max(1.0, _size(parameter) / _size(new[name])) if parameter.ndim > 1 else 1.0
        (group,) = parameter_groups([(name, parameter)], schedule.optim)
        groups.append(group | {RATE: group[RATE] * grown})
    return groups


def _size(parameter: Tensor) -> float:
    """Root mean square."""
    return float(parameter.detach().square().mean().sqrt())


def add_gradient(tuned: TaskModel, rows: Rows, number: int) -> None:
    """Add this rank's part of the gradient of the mean loss over rows; `number` keys dropout."""
    count = max(1, tuned.meaning.count(rows.labels))
    for numbers in tuned.batches(rows):
        batch = rows.take(numbers)
        tuned.key_dropout(number, numbers)
        loss = tuned.meaning.loss(tuned(batch.tokens), batch.labels)
        (loss / count / tuned.mesh.sequence_parallel_size).backward()


def epochs_of_crops(longest: int, first_length: int) -> int:
    """How often a length must double before it holds the longest sequence."""
    return max(0, math.ceil(math.log2(longest / first_length)))


def cropped(rows: Rows, length: int, seed: tuple[int, int]) -> Rows:
    """Rows cut to `length` bases, each at a random place, with the labels of its bases where it has any."""
    whole_N = lengths(rows)
    if whole_N.max() <= length:
        return rows
    starts_N: Ints = np.random.default_rng(seed).integers(np.maximum(whole_N - length, 0) + 1)
    tokens = [row[start : start + length] for row, start in zip(rows.tokens, starts_N, strict=True)]
    if len(rows.labels) == len(rows):
        return Rows(tokens, rows.labels, rows.groups)
    firsts_N = np.cumsum(whole_N) - whole_N + starts_N
    bases = [np.arange(first, first + len(row)) for first, row in zip(firsts_N, tokens, strict=True)]
    return Rows(tokens, rows.labels[np.concatenate(bases)], rows.groups)
