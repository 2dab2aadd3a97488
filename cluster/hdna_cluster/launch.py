"""Training on Ray workers, on this machine or on the cluster a job was submitted to."""

import os
import tempfile
import threading
from dataclasses import replace
from typing import Any

from hdna import storage
from hdna.config import RunConfig
from hdna.errors import InputError, LostWorkerError
from hdna.run.events import Report
from hdna.run.ownership import claim, refuse_taken, release
from hdna.train.preflight import preflight
from hdna_cluster.session import is_submitted_job, ray_session


def launch(config: RunConfig, report: Report) -> None:
    """Train on Ray workers; `report` receives rank 0's events in order.

    Raises InputError when the run needs more than the cluster has, or when a worker met bad input or failed.
    """
    config = _with_absolute_urls(config)
    preflight(config)
    refuse_taken(config)
    with ray_session() as ray:
        resources = _resources(ray, config.parallel.workers)
        claim(config)
        status = "stopped"
        try:
            _train(config, resources, report)
            status = "done"
        finally:
            release(config.run.url, status)


def _train(config: RunConfig, resources: dict[str, float], report: Report) -> None:
    """Run the workers, passing their events on to `report`, until they end.

    Ray's `fit` runs in its own thread: in the main thread it would handle Ctrl-C itself and end the process.
    """
    import ray
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0})
    failures: list[BaseException] = []
    interrupted = threading.Event()

    def fit() -> None:
        try:
            _fit(config, resources, queue)
        except BaseException as error:
            failures.append(error)
        finally:
            if not interrupted.is_set():
                queue.put(None)  # after the last event

    threading.Thread(target=fit, daemon=True).start()
    try:
        while (event := queue.get()) is not None:
            report(event)
    except KeyboardInterrupt:
        interrupted.set()
        ray.shutdown()  # ends the workers; what they committed stays
        raise
    if failures:
        raise failures[0]


def _resources(ray: Any, workers: int) -> dict[str, float]:  # noqa: ANN401
    """Resources of each worker: a GPU if there are any, else an equal share of the processors."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind = "GPU" if any(node.get("GPU", 0) for node in nodes) else "CPU"
    have = int(sum(node.get(kind, 0) for node in nodes))
    if workers > have:
        raise InputError(
            f"parallel.workers={workers}: the cluster has {have} {kind}s, and each worker needs one: "
            f"set parallel.workers={have}, or start more nodes"
        )
    if kind == "CPU":
        return {"CPU": float(processors_each([int(node.get("CPU", 0)) for node in nodes], workers))}
    return {"GPU": 1.0, "CPU": float(min(node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0)))}


def processors_each(nodes: list[int], workers: int) -> int:
    """The most processors each of `workers` can have, each worker on one node; `nodes` are their processor counts."""
    return next(each for each in range(max(nodes), 0, -1) if sum(node // each for node in nodes) >= workers)


def _fit(config: RunConfig, resources: dict[str, float], queue: Any) -> None:  # noqa: ANN401
    from ray.train import RunConfig as RayRunConfig
    from ray.train import ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    gpu = "GPU" in resources
    with tempfile.TemporaryDirectory(prefix="hdna-ray-") as scratch:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"config": config, "queue": queue, "threads": int(resources["CPU"])},
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=config.parallel.collective_timeout_s),
            scaling_config=ScalingConfig(
                num_workers=config.parallel.workers, use_gpu=gpu, resources_per_worker=resources
            ),
            run_config=RayRunConfig(storage_path=scratch),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise _first_cause(error, config.run.url) from None


def _worker(settings: dict[str, Any]) -> None:
    """Run one Ray worker, in its own process."""
    import torch
    from ray.train.torch import get_device

    from hdna.train.loop import train

    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(settings["threads"])
    train(settings["config"], device, settings["queue"].put)


def _first_cause(error: Any, run_url: str) -> InputError:  # noqa: ANN401
    """The InputError that a worker raised, or else the first worker's failure in one line.

    When one worker fails, the others lose it: their errors come last.
    """
    failures = [getattr(failure, "cause", failure) for failure in getattr(error, "worker_failures", {}).values()]
    failures.sort(key=lambda failure: isinstance(failure, LostWorkerError))
    for failure in failures:
        if isinstance(failure, InputError) and not isinstance(failure, LostWorkerError):
            return failure
    lines = str(failures[0] if failures else error).strip().splitlines()
    return InputError(
        f"{run_url}: a worker failed: {lines[-1] if lines else type(error).__name__}: the same command resumes from "
        f"the newest checkpoint; the workers' logs are under /tmp/ray/session_latest/logs"
    )


def _with_absolute_urls(config: RunConfig) -> RunConfig:
    """Make local URLs absolute paths, because workers run in their own directories.

    A submitted job runs in Ray's temporary copy of the working directory, with which a relative path would be lost.
    """

    def absolute(url: str) -> str:
        if not storage.is_local(url):
            return url
        path = url.removeprefix("file://")
        if is_submitted_job() and not os.path.isabs(path):  # noqa: PTH117 - of the text, not of an existing path
            raise InputError(
                f"{url}: a relative path in a submitted job is in Ray's temporary copy of the working directory: "
                f"give an absolute path shared by all nodes, or a bucket URL"
            )
        return str(storage.local_path(url))

    return replace(
        config,
        run=replace(config.run, url=absolute(config.run.url)),
        data=replace(config.data, shards=[absolute(url) for url in config.data.shards]),
    )
