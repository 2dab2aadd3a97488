"""Ray Train's workers: what each of them runs, and waiting for their end."""

import tempfile
from dataclasses import replace
from typing import Any

from hdna.config import RunConfig
from hdna.run.events import WorkersStarted
from hdna.run.lease import Fence
from hdna_cluster.failures import first_cause
from hdna_cluster.mailbox import Sender


def fit(config: RunConfig, resources: dict[str, float], fence: Fence, mailbox: Any, logs: str) -> None:  # noqa: ANN401
    """Run the workers to their end, each with `resources`; their events go to `mailbox`.

    Raises InputError when a worker fails, LostWorkerError when one is lost; both name `logs`, the folder of the
    workers' logs.
    """
    from ray.exceptions import RayError
    from ray.train import RunConfig as RayRunConfig
    from ray.train import ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from hdna_cluster.network import NodeNetworkConfig

    gpu, parallel = "GPU" in resources, config.parallel
    workers = (parallel.min_workers, parallel.workers) if parallel.min_workers else parallel.workers
    with tempfile.TemporaryDirectory(prefix="hdna-ray-") as scratch:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"config": config, "fence": fence, "mailbox": mailbox, "threads": int(resources["CPU"])},
            torch_config=NodeNetworkConfig(
                backend="nccl" if gpu else "gloo", timeout_s=config.parallel.collective_timeout_s
            ),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=resources),
            run_config=RayRunConfig(storage_path=scratch),
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
    there_are = ray.train.get_context().get_world_size()
    config = replace(config, parallel=replace(config.parallel, workers=there_are))
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(settings["threads"])
    sender = Sender(settings["mailbox"])
    try:
        if ray.train.get_context().get_world_rank() == 0:
            sender(WorkersStarted(there_are))
        train(config, device, sender, sender.should_stop, settings["fence"])
    finally:
        sender.flush()
