"""One step of fine-tuning on real ranks, and by autograd of one row at a time."""

from pathlib import Path

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from hdna.downstream.metrics import Floats
from hdna.downstream.tasks import task_model
from hdna.downstream.tasks.finetune import add_gradient, finetune
from hdna.downstream.tasks.fitting import Schedule, sum_gradients
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.problem import Rows
from hdna.downstream.tasks.task_model import TaskModel
from hdna.genome.alphabet import reverse_complement
from hdna.parallel import Mesh
from support.planted_labels import planted_problem, planted_rows, untrained_subject

LAYOUTS = {"rows-3": 1, "idle-1": 2, "slices-3": 3}
"""Sequence ranks of three."""
STEP = 5


def task() -> tuple[TaskModel, Rows]:
    """Seven rows, and a model that all of them change; without dropout, which is drawn by row."""
    model = TaskModel(untrained_subject().model.requires_grad_(), Head("single_label", 2))
    model.model.embed_dropout.p = 0.0
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(1))
    return model, planted_rows(7, 8)


def run_layouts(out: Path) -> None:
    """The step in every layout, in several micro-batches, to files of the layouts' names."""
    task_model.POSITIONS = 150
    for name, degree in LAYOUTS.items():
        mesh = Mesh.of_this_process(degree)
        alone, rows = task()
        shared = TaskModel(alone.model, alone.meaning, mesh)
        shared.head.load_state_dict(alone.head.state_dict())
        shared.train()
        add_gradient(shared, rows, STEP)
        sum_gradients(list(shared.parameters()), mesh)
        found = {key: p.grad.clone() for key, p in shared.named_parameters() if p.grad is not None}
        shared.eval()
        logits = shared.over(rows, shared, 2)
        found["loss"] = shared.meaning.loss(logits, rows.labels) / len(rows)
        if mesh.is_leader:
            save_file(found, out / f"{name}.safetensors")


def run_method(out: Path) -> None:
    """All of fine-tuning, by ranks that share every sequence."""
    scores = tuned(Mesh.of_this_process(3))
    save_file({"scores": torch.from_numpy(scores)}, out / f"rank-{dist.get_rank()}.safetensors")


def tuned(mesh: Mesh) -> Floats:
    """Scores after an epoch."""
    problem = planted_problem(train=24)
    method = finetune(untrained_subject(), Schedule(1, 1e-3, 8, 1), mesh=mesh)
    return method(problem, problem.train, problem.valid, problem.test)


def plain_step() -> dict[str, Tensor]:
    """Loss and gradients, each row alone, by torch alone."""
    model, rows = task()
    losses = []
    for tokens, label in zip(rows.tokens, rows.labels, strict=True):
        strands = [torch.from_numpy(strand.copy())[None].long() for strand in (tokens, reverse_complement(tokens))]
        hidden = [model.model.hidden(strand) for strand in strands]
        pooled = torch.cat([part for own in hidden for part in (own.mean(1), own[:, -1])], 1)
        losses.append(functional.cross_entropy(model.head(pooled), torch.tensor([label])))
    loss = torch.stack(losses).mean()
    loss.backward()
    found = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    return {**found, "loss": loss.detach().double()}
