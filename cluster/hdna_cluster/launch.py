"""Training on Ray workers, on this machine or on the cluster a job was submitted to."""

import os
import threading
from dataclasses import replace
from typing import Any

from hdna import storage
from hdna.checkpoint import list_checkpoints
from hdna.config import ParallelConfig, RunConfig
from hdna.data.curriculum import Curriculum
from hdna.errors import InputError
from hdna.run.best_effort import BestEffort
from hdna.run.events import Report
from hdna.run.files import METRICS, STATE
from hdna.run.ownership import claim, refuse_taken, release
from hdna.train.preflight import preflight
from hdna_cluster.mailbox import Receiver, start_mailbox
from hdna_cluster.restarts import keep_going
from hdna_cluster.session import is_submitted_job, logs_folder, ray_session
from hdna_cluster.stopping import StopRequest
from hdna_cluster.workers import fit

_PACE_S = 0.2
_GRACE_S = 5.0


def launch(config: RunConfig, report: Report) -> None:
    """Train on Ray workers; `report` receives rank 0's events in order, and may raise.

    Raises InputError when the run needs more than the cluster has, or when a worker met bad input or failed.
    """
    config = _with_absolute_urls(config)
    preflight(config)
    refuse_taken(config)
    best_effort = BestEffort(report)
    best_effort.report("starting Ray and DeepSpeed ...")
    with ray_session() as ray:
        resources = _resources(ray, config.parallel)
        claim(config)
        status = "stopped"
        try:
            _train(config, resources, best_effort)
            status = "done"
        finally:
            _release(config.run.url, status, best_effort)
    if failures := best_effort.summary():
        best_effort.report(failures)


def _release(run_url: str, status: str, best_effort: BestEffort) -> None:
    """Record how the run ended; failing to must not hide why it did."""
    try:
        release(run_url, status)
    except InputError as error:
        best_effort.report(f"{error}: the run is {status}, but its {STATE} does not say so")


def _train(config: RunConfig, resources: dict[str, float], best_effort: BestEffort) -> None:
    """Run the workers, showing their events, until they end.

    Ray's `fit` runs in its own thread: in the main thread it would handle Ctrl-C itself and end the process.
    """
    import ray

    mailbox, logs = start_mailbox(ray), logs_folder(ray)
    receive = Receiver(ray, mailbox)
    stop = StopRequest(config.checkpoint.grace_s, best_effort.report)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            keep_going(
                lambda: fit(config, resources, mailbox, logs), config.run.url, best_effort.report, lambda: stop.asked
            )
        except BaseException as error:
            failures.append(error)

    training = threading.Thread(target=run, daemon=True)
    training.start()
    try:
        with stop.listening():
            while training.is_alive():
                training.join(_PACE_S)
                stop.check()
                _show(receive, stop.asked, config.run.url, best_effort, training)
            _show(receive, stop.asked, config.run.url, best_effort, training)
    except KeyboardInterrupt:
        ray.shutdown()  # ends the workers; what they committed stays
        raise
    if failures:
        raise failures[0]
    if stop.asked and not _is_finished(config):
        raise KeyboardInterrupt


def _show(receive: Receiver, stop: bool, run_url: str, best_effort: BestEffort, training: threading.Thread) -> None:
    """Report the events that have arrived, and tell the workers whether to stop."""
    try:
        events = receive(stop)
    except InputError as error:
        training.join(_GRACE_S)
        if training.is_alive():  # else what ended the actor has ended the run too, which says so itself
            best_effort.failed("progress", InputError(f"{error}; {storage.join(run_url, METRICS)} has all of it"))
        return
    for event in events:
        best_effort.report(event)


def _is_finished(config: RunConfig) -> bool:
    """Whether the last step was done before the run was to stop."""
    return any(ref.step == Curriculum.of(config).steps for ref in list_checkpoints(config.run.url))


def _resources(ray: Any, parallel: ParallelConfig) -> dict[str, float]:  # noqa: ANN401
    """Resources of each worker: a GPU if there are any, else an equal share of the processors."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind = "GPU" if any(node.get("GPU", 0) for node in nodes) else "CPU"
    have, fewest = int(sum(node.get(kind, 0) for node in nodes)), parallel.min_workers or parallel.workers
    if fewest > have:
        raise InputError(
            f"parallel.workers={fewest}: the cluster has {have} {kind}s, and each worker needs one: "
            f"set parallel.workers={have}, or start more nodes"
        )
    if kind == "CPU":
        counts = [int(node.get("CPU", 0)) for node in nodes]
        return {"CPU": float(processors_each(counts, min(have, parallel.workers)))}
    return {"GPU": 1.0, "CPU": float(min(node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0)))}


def processors_each(nodes: list[int], workers: int) -> int:
    """The most processors each of `workers` can have, each worker on one node; `nodes` are their processor counts."""
    return next(each for each in range(max(nodes), 0, -1) if sum(node // each for node in nodes) >= workers)


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
