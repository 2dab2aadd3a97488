"""Fine-tuning on Ray's workers, which share rows or every single sequence: for contexts that one has no memory for."""

from collections.abc import Callable

import torch

from hdna.downstream.metrics import Floats
from hdna.downstream.subject import Subject, load_subject
from hdna.downstream.tasks.finetune import finetune, scratch
from hdna.downstream.tasks.fitting import Schedule
from hdna.downstream.tasks.problem import Method, Problem, Rows
from hdna.parallel import Mesh
from hdna.run.events import Event
from hdna_cluster.on_ranks import run_on_ranks
from hdna_cluster.session import absolute_url

MAKERS = {"finetune": finetune, "scratch": scratch}


def on_ranks(
    subject: Subject,
    method: str,
    schedule: Schedule,
    workers: int,
    sequence_parallel: int,
    hear: Callable[[Event], None],
) -> Method:
    """The method "finetune" or "scratch" on so many workers, of which `sequence_parallel` share each sequence.

    Called, it raises InputError when the cluster has too few workers, or one fails or is lost.
    """

    def distributed(problem: Problem, train: Rows, valid: Rows, asked: Rows) -> Floats:
        work = absolute_url(subject.url), method, schedule, problem, train, valid, asked
        return run_on_ranks(scores_of_rank, work, subject.url, workers, hear, sequence_parallel)

    return distributed


def scores_of_rank(
    url: str,
    method: str,
    schedule: Schedule,
    problem: Problem,
    train: Rows,
    valid: Rows,
    asked: Rows,
    mesh: Mesh,
    device: torch.device,
    tell: Callable[[Event], None],
) -> Floats:
    """What every rank does; all find the same scores."""
    tell(f"{method} on {mesh.world_size} workers, {mesh.sequence_parallel_size} of which share each sequence")
    return MAKERS[method](load_subject(url, device), schedule, mesh=mesh)(problem, train, valid, asked)
