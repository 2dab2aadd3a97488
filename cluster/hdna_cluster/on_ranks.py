"""A function on ranks of Ray Train's workers, which share samples if they are to: for whatever is not training."""

import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from hdna.errors import InputError
from hdna.run.events import Event
from hdna_cluster.failures import first_cause
from hdna_cluster.mailbox import Receiver, Sender, start_mailbox
from hdna_cluster.resources import worker_resources
from hdna_cluster.session import logs_folder, ray_session

T = TypeVar("T")
_PACE_S = 0.2
_COLLECTIVE_TIMEOUT_S = 1800


def run_on_ranks(
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    about: str,
    ranks: int,
    hear: Callable[[Event], None],
    sequence_parallel: int | None = None,
) -> T:
    """What `function(*arguments, mesh, device, tell)` returns on rank 0 of `ranks` workers.

    `sequence_parallel` of them share each sample; by default all.

    All ranks call it, each on a GPU if there are any, else on its share of the processors. Function, arguments and
    result are pickled; local paths among them must be absolute (`absolute_url`). What rank 0 tells reaches `hear`;
    what the others tell is dropped.

    Raises InputError when the cluster has too few workers, or one fails or is lost; the line begins with `about`.
    """
    shared = sequence_parallel or ranks
    with ray_session() as ray:
        resources = worker_resources(ray, ranks, ranks, "--sequence-parallel" if shared == ranks else "--workers")
        mailbox, logs = start_mailbox(ray), logs_folder(ray)
        settings = {"function": function, "arguments": arguments, "mailbox": mailbox, "sequence_parallel": shared}
        settings["threads"] = int(resources["CPU"])
        ended: list[Any] = []  # the result, or what was raised in its place

        def work() -> None:
            try:
                ended.append(_fit(settings, ranks, resources, about, logs))
            except BaseException as error:
                ended.append(error)

        # In the main thread Ray Train would handle Ctrl-C itself.
        working, receive = threading.Thread(target=work, daemon=True), Receiver(ray, mailbox)
        working.start()
        while working.is_alive():
            working.join(_PACE_S)
            with suppress(InputError):  # the actor is lost: progress is not worth ending the work for
                for event in receive(False):
                    hear(event)
    if isinstance(ended[0], BaseException):
        raise ended[0]
    result: T = ended[0]
    return result


def _fit(settings: dict[str, Any], ranks: int, resources: dict[str, float], about: str, logs: str) -> Any:  # noqa: ANN401
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from hdna_cluster.network import NodeNetworkConfig

    gpu = "GPU" in resources
    with tempfile.TemporaryDirectory(prefix="hdna-ray-") as scratch:
        trainer = TorchTrainer(
            _rank,
            train_loop_config=settings,
            torch_config=NodeNetworkConfig(backend="nccl" if gpu else "gloo", timeout_s=_COLLECTIVE_TIMEOUT_S),
            scaling_config=ScalingConfig(num_workers=ranks, use_gpu=gpu, resources_per_worker=resources),
            run_config=RunConfig(
                storage_path=scratch, failure_config=FailureConfig(max_failures=0, max_preemption_failures=0)
            ),
        )
        try:
            return trainer.fit().return_value
        except (TrainingFailedError, RayError) as error:
            raise first_cause(error, about, logs) from None


def _rank(settings: dict[str, Any]) -> Any:  # noqa: ANN401
    """Run one rank, in a Ray worker's process."""
    import torch
    from ray.train.torch import get_device

    from hdna.parallel import Mesh
    from hdna.parallel.mesh import lost_ranks_explained

    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(settings["threads"])
    sender = Sender(settings["mailbox"])
    mesh = Mesh.of_this_process(settings["sequence_parallel"])
    tell = sender if mesh.is_leader else _drop
    try:
        with lost_ranks_explained():
            return settings["function"](*settings["arguments"], mesh, device, tell)
    finally:
        sender.flush()


def _drop(event: Event) -> None:
    """Rank 0 tells it."""
