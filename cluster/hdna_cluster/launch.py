"""The door to Ray: runs training workers on this machine's embedded Ray, or on the cluster a job was submitted to."""

import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from hdna import storage
from hdna.config import RunConfig
from hdna.errors import InputError, LostWorkerError
from hdna.run.ownership import claim, refuse_taken, release
from hdna.storage.staging import InterruptedWorkError
from hdna.train.preflight import preflight

Report = Callable[[dict[str, Any]], None]

MOST_PREP_WORKERS = 32
"""One reader of FASTA keeps no more than that busy, and each holds a segment in the reader's memory."""

P = ParamSpec("P")
T = TypeVar("T")

_END = {"end": True}


def submitted_job() -> bool:
    """Whether this process is the entry point of a `ray job submit`."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def launch(config: RunConfig, report: Report) -> None:
    """Train on Ray workers; `report` receives what rank 0 says, in order.

    Raises InputError when the run needs more than the cluster has, when a worker met bad input, or when one failed.
    """
    config = _with_absolute_urls(config)
    preflight(config)
    refuse_taken(config)
    # Ray's usage report would go to its makers, and its warning about this default only puzzles.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Without it, a call after an interrupt's shutdown would start Ray anew and hang.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    import ray

    _start_ray(ray)
    try:
        resources = _resources(ray, config.parallel.workers)
        claim(config)
        status = "stopped"
        try:
            _train(config, resources, report)
            status = "done"
        finally:
            release(config.run.url, status)
    finally:
        ray.shutdown()


@contextmanager
def ray_pool(workers: int | None = None) -> Iterator["RayPool"]:
    """Workers for the preparation of data: Ray tasks on the cluster of a submitted job, or on this machine.

    `workers` is how many run at once: by default one for each processor of the cluster, at most MOST_PREP_WORKERS.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    _start_ray(ray)
    try:
        yield RayPool(ray, workers or min(int(ray.cluster_resources().get("CPU", 1)), MOST_PREP_WORKERS))
    finally:
        ray.shutdown()


class RayPool:
    """Runs functions with their arguments as Ray tasks, one processor each; what they need must be in the arguments."""

    def __init__(self, ray: Any, workers: int) -> None:  # noqa: ANN401 - Ray has no types
        self._ray = ray
        self.workers = workers

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Start `function(*args)`; what is returned waits for its result, or raises what it raised."""
        reference = self._ray.remote(function).remote(*args, **kwargs)

        def wait() -> T:
            try:
                result: T = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                text = str(error).strip().splitlines()[0]
                raise InterruptedWorkError(f"a Ray worker was lost ({text}): start the command again") from None
            return result

        return wait


def _train(config: RunConfig, resources: dict[str, float], report: Report) -> None:
    """Run the workers and pass on what they say, until they end.

    Ray's `fit` runs in a thread of its own: in the main thread it would answer Ctrl-C itself, and end the process.
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
                queue.put(_END)

    threading.Thread(target=fit, daemon=True).start()
    try:
        while (event := queue.get()) != _END:
            report(event)
    except KeyboardInterrupt:
        interrupted.set()
        ray.shutdown()  # ends the workers; what they have committed stays
        raise
    if failures:
        raise failures[0]


def _start_ray(ray: Any) -> None:  # noqa: ANN401 - Ray has no types
    """Join the job's cluster, or start Ray on this machine. Ray turns on token authentication for what it starts."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    if submitted_job() or os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
        return
    # With the dashboard's server: without it Ray Train waits ten seconds at the end for an actor list from it.
    ray.init(address="local", include_dashboard=True, logging_level=logging.ERROR, log_to_driver=False)
    _hide_token()


def _hide_token() -> None:
    """Ray writes the token of a cluster it starts readable by everyone on the machine."""
    token = os.path.expanduser("~/.ray/auth_token")  # noqa: PTH111 - as Ray documents it
    if os.path.isfile(token):  # noqa: PTH113
        os.chmod(token, 0o600)  # noqa: PTH101


def _resources(ray: Any, workers: int) -> dict[str, float]:  # noqa: ANN401
    """What each worker gets: a GPU where there are any, else an equal share of the processors."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind = "GPU" if any(node.get("GPU", 0) for node in nodes) else "CPU"
    have = int(sum(node.get(kind, 0) for node in nodes))
    if workers > have:
        raise InputError(
            f"parallel.workers={workers}: the cluster has {have} {kind}s, one for each worker: "
            f"set parallel.workers={have}, or start more nodes"
        )
    if kind == "CPU":
        return {"CPU": float(processors_each([int(node.get("CPU", 0)) for node in nodes], workers))}
    return {"GPU": 1.0, "CPU": float(min(node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0)))}


def processors_each(nodes: list[int], workers: int) -> int:
    """The most processors that each of `workers` can have, all of a worker's on one node; `nodes` are their numbers."""
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
    """What each Ray worker runs, in a process of its own."""
    import torch
    from ray.train.torch import get_device

    from hdna.train.loop import train

    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(settings["threads"])
    train(settings["config"], device, settings["queue"].put)


def _first_cause(error: Any, run_url: str) -> InputError:  # noqa: ANN401
    """The InputError a worker raised, or else the first worker's failure in one line.

    When one worker fails the others lose it: what they say comes last.
    """
    failures = [getattr(failure, "cause", failure) for failure in getattr(error, "worker_failures", {}).values()]
    failures.sort(key=lambda failure: isinstance(failure, LostWorkerError))
    for failure in failures:
        if isinstance(failure, InputError) and not isinstance(failure, LostWorkerError):
            return failure
    lines = str(failures[0] if failures else error).strip().splitlines()
    return InputError(
        f"{run_url}: a worker failed: {lines[-1] if lines else type(error).__name__}: the same command continues from "
        f"the newest checkpoint; the workers' logs lie under /tmp/ray/session_latest/logs"
    )


def _with_absolute_urls(config: RunConfig) -> RunConfig:
    """Local places as absolute paths: workers run in directories of their own.

    A submitted job runs in Ray's temporary copy of the working directory, where a relative path would be lost with it.
    """

    def absolute(url: str) -> str:
        if not storage.is_local(url):
            return url
        path = url.removeprefix("file://")
        if submitted_job() and not os.path.isabs(path):  # noqa: PTH117 - of the text, not of a path that exists
            raise InputError(
                f"{url}: a relative path in a submitted job lies in Ray's temporary copy of the working directory: "
                f"give an absolute path that all nodes share, or a bucket URL"
            )
        return str(storage.local_path(url))

    return replace(
        config,
        run=replace(config.run, url=absolute(config.run.url)),
        data=replace(config.data, shards=[absolute(url) for url in config.data.shards]),
    )
