"""Steps of AdamW until a valid part says that more would not help, on one process or on the ranks of a mesh."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hdna.config.schema import OptimConfig
from hdna.downstream.metrics import Ints
from hdna.parallel import Mesh
from hdna.progress import progress
from hdna.train.optim import BETAS, RATE, learning_rate


@dataclass(frozen=True)
class Step:
    """One step of learning."""

    number: int
    """From 0, over all epochs."""
    epoch: int
    rows: Ints
    """Numbers of its train rows."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    epochs: int
    """At most, over the train rows."""
    learning_rate: float
    """At its peak, after a warm-up over a tenth of the steps; a cosine then lowers it to a tenth."""
    rows_per_step: int
    patience: int
    """Epochs without a better valid loss after which learning ends."""
    seed: int = 0
    """Of the rows' order."""
    weight_decay: float = 0.1
    clip_norm: float = 1.0

    unhurried: int = 0
    """First epochs that `patience` does not count."""

    def steps(self, epoch: int, rows: int) -> Iterator[Step]:
        """The steps of an epoch over so many rows, in an order of its own."""
        order = np.random.default_rng([self.seed, epoch]).permutation(rows)
        count = self.steps_per_epoch(rows)
        for number, numbers in enumerate(np.array_split(order, count), epoch * count):
            yield Step(number, epoch, numbers)

    def steps_per_epoch(self, rows: int) -> int:
        """As few as hold all rows."""
        return -(-rows // self.rows_per_step)

    def rate(self, step: Step, rows: int) -> float:
        """The learning rate of a step, by a recipe's schedule with rows for tokens."""
        total = self.epochs * self.steps_per_epoch(rows) * self.rows_per_step
        return learning_rate(self.optim, step.number * self.rows_per_step, total)

    @property
    def optim(self) -> OptimConfig:
        """The same in a recipe's terms, rows for tokens."""
        return OptimConfig(
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_fraction=0.1,
            clip_norm=self.clip_norm,
            global_batch_tokens=self.rows_per_step,
        )


def fit(
    groups: list[dict[str, Any]],
    rows: int,
    gradient: Callable[[Step], None],
    valid_loss: Callable[[], float],
    schedule: Schedule,
    mesh: Mesh,
) -> None:
    """Learn in place, and leave the parameters of the epoch whose valid loss was the lowest; called by all ranks.

    Args:
        groups: parameters as torch's optimizers take them, with RATE, a share of the schedule's learning rate.
        rows: how many train rows there are.
        gradient: adds to the parameters' gradients this rank's part of those of the mean loss over a step's rows.
        valid_loss: of the parameters as they are.
        schedule: how long and how fast.
        mesh: whose ranks' gradients are summed.

    """
    parameters = [parameter for group in groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.detach().copy_(_leaders(parameter.detach(), mesh))
    optimizer = torch.optim.AdamW(groups, betas=BETAS)
    best, kept, worse = float("inf"), _copies(parameters), 0
    with progress(schedule.epochs * rows, "learning", "rows") if mesh.is_leader else nullcontext(_silent) as advance:
        for epoch in range(schedule.epochs):
            for step in schedule.steps(epoch, rows):
                optimizer.zero_grad()
                gradient(step)
                sum_gradients(parameters, mesh)
                nn.utils.clip_grad_norm_(parameters, schedule.clip_norm)
                for group in optimizer.param_groups:
                    group["lr"] = group[RATE] * schedule.rate(step, rows)
                optimizer.step()
                advance(len(step.rows))
            loss = float(_leaders(torch.tensor(valid_loss(), dtype=torch.float64, device=parameters[0].device), mesh))
            worse = 0 if loss < best or epoch < schedule.unhurried else worse + 1
            if loss < best:
                best, kept = loss, _copies(parameters)
            if worse == schedule.patience:
                break
    with torch.no_grad():
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)


def _silent(_: float) -> None:
    """The progress of ranks that show none."""


def sum_gradients(parameters: list[nn.Parameter], mesh: Mesh) -> None:
    """Over all ranks, some of which may have had no rows, in one message."""
    if mesh.world_size == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = mesh.sum(torch.cat([gradient.flatten() for gradient in gradients]))
    for parameter, total in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = total.view_as(parameter)


def _leaders(value: Tensor, mesh: Mesh) -> Tensor:
    """The value of rank 0: ranks that differed by rounding would go different ways."""
    return mesh.sum(value.clone() if mesh.is_leader else torch.zeros_like(value))


def _copies(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]
