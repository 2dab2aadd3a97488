"""Ray Train's workers: what each of them runs, and waiting for their end."""

import os
import tempfile
from dataclasses import replace
from typing import Any

from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.errors import LeavingNodeError
from hdna.run.events import WorkersStarted
from hdna.run.lease import Fence
from hdna_cluster import notice
from hdna_cluster.failures import first_cause
from hdna_cluster.mailbox import Sender

_POLLED_OFTEN, _POLLED_EVERY_S = 64, "0.5"
"""Up to so many workers are looked after so often, instead of Ray Train's 2 s: a run ends, and goes on after a lost
worker, a second earlier. Its controller asks each worker every time, which a thousand would make a burden."""


def fit(config: RunConfig, resources: dict[str, float], fence: Fence, mailbox: Any, logs: str) -> None:  # noqa: ANN401
    """Run the workers to their end, each with `resources`; their events go to `mailbox`.

    Raises InputError when a worker fails, LostWorkerError when one is lost; both name `logs`, the folder of the
    workers' logs.
    """
    from ray.exceptions import RayError
    from ray.train import FailureConfig, ScalingConfig, TrainingFailedError
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchTrainer

    from hdna_cluster.network import NodeNetworkConfig

    gpu, parallel = "GPU" in resources, config.parallel
    if parallel.workers <= _POLLED_OFTEN:
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", _POLLED_EVERY_S)
    workers = (parallel.min_workers, parallel.workers) if parallel.min_workers else parallel.workers
    with tempfile.TemporaryDirectory(prefix="hdna-ray-") as scratch:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"config": config, "fence": fence, "mailbox": mailbox, "threads": int(resources["CPU"])},
            torch_config=NodeNetworkConfig(
                backend="nccl" if gpu else "gloo", timeout_s=config.parallel.collective_timeout_s
            ),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=resources),
            # Ray starts no group again by itself, not even after a preemption: the next one has another fence.
            run_config=RayRunConfig(
                storage_path=scratch, failure_config=FailureConfig(max_failures=0, max_preemption_failures=0)
            ),
        )
        try:
            trainer.fit()
        except (TrainingFailedError, RayError) as error:
            raise first_cause(error, config.run.url, logs) from None


def _worker(settings: dict[str, Any]) -> None:
    """Run one Ray worker, in its own process."""
    import ray.train
    import torch
    from ray.train.torch import get_device

    from hdna.train.loop import train

    config: RunConfig = settings["config"]
    context = ray.train.get_context()
    config = replace(config, parallel=replace(config.parallel, workers=context.get_world_size()))
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(settings["threads"])
    sender = Sender(settings["mailbox"])
    is_leader = context.get_world_rank() == 0
    try:
        if is_leader:
            sender(WorkersStarted(config.parallel.workers))
        state = train(config, device, sender, lambda: sender.should_stop() or notice.has_come(), settings["fence"])
        if is_leader and state.step < Curriculum.of(config).steps:
            _end_early(config, state.step, sender)
    finally:
        sender.flush()


def _end_early(config: RunConfig, step: int, sender: Sender) -> None:
    """Say why training has stopped before its end. Raises LeavingNodeError if others are to go on."""
    if not sender.should_stop():
        raise LeavingNodeError(f"{config.run.url}: saved at step {step}, as a node is about to be taken away")
    sender(f"stopped at step {step}; the same command continues from there")
