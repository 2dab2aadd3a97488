"""Training on Ray workers, on this machine or on the cluster a job was submitted to."""

import os
from dataclasses import replace
from typing import Any

from hdna import storage
from hdna.checkpoint import newest_intact
from hdna.config import ParallelConfig, RunConfig
from hdna.data.curriculum import Curriculum
from hdna.errors import InputError
from hdna.run.best_effort import BestEffort
from hdna.run.events import Report
from hdna.run.files import STATE, read_json
from hdna.run.lease import Lease, last_lease
from hdna.run.ownership import claim, refuse_taken
from hdna.run.status import DONE, StatusFile
from hdna.train.preflight import preflight
from hdna.train.source import with_extension
from hdna_cluster.driver import Driver
from hdna_cluster.session import is_submitted_job, ray_session


def launch(config: RunConfig, report: Report) -> None:
    """Train on Ray workers; `report` receives rank 0's events in order, and may raise.

    Raises InputError when the run needs more than the cluster has, or when a worker met bad input or failed.
    """
    config = with_extension(_with_absolute_urls(config))
    preflight(config)
    changes = refuse_taken(config)
    best_effort = BestEffort(report)
    for change in changes:
        best_effort.report(change)
    if _is_finished(config):
        best_effort.report(f"{config.run.url}: all {Curriculum.of(config).steps:,} steps are done already")
        return
    last = last_lease(config.run.url, best_effort.report)
    best_effort.report("starting Ray and DeepSpeed ...")
    with ray_session() as ray:
        resources = _resources(ray, config.parallel)
        lease = Lease(config.run.url, last)
        with lease.renewed(best_effort):
            claim(config)
            status = StatusFile(config.run.url, lease, best_effort)
            with status.kept():
                Driver(ray, config, resources, lease, status, best_effort).run()
    if failures := best_effort.summary():
        best_effort.report(failures)


def _is_finished(config: RunConfig) -> bool:
    """Whether an earlier call has brought the run to its end, and its last checkpoint is intact."""
    if read_json(config.run.url, STATE).get("status") != DONE:
        return False
    newest, _ = newest_intact(config.run.url)
    return newest is not None and newest.step == Curriculum.of(config).steps


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

    init_from = config.run.init_from
    return replace(
        config,
        run=replace(config.run, url=absolute(config.run.url), init_from=init_from and absolute(init_from)),
        data=replace(config.data, shards=[absolute(url) for url in config.data.shards]),
    )
