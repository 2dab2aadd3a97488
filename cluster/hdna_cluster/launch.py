"""Training on Ray workers, on this machine or on the cluster a job was submitted to."""

from dataclasses import replace

from hdna.checkpoint import newest_intact
from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.run.best_effort import BestEffort
from hdna.run.events import Doing, Report
from hdna.run.lease import Lease, last_lease
from hdna.run.ownership import claim, refuse_taken
from hdna.run.status import DONE, RunStatus, StatusFile, read_status
from hdna.train.preflight import preflight
from hdna.train.source import with_extension
from hdna_cluster.cautions import Agree, hardware, heed
from hdna_cluster.driver import Driver
from hdna_cluster.expected_time import FirstPace
from hdna_cluster.resources import worker_resources
from hdna_cluster.session import absolute_url, ray_session


def launch(config: RunConfig, report: Report, recipe: str, agree: Agree = lambda question: True) -> None:
    """Train on Ray workers; `report` receives rank 0's events in order, and may raise. `agree` answers questions.

    `recipe`: what state.json says the run was begun with, a name or a file.

    Raises InputError when the run needs more than the cluster has, when a worker met bad input or failed, or when the
    answer about a long run is no.
    """
    config = with_extension(_with_absolute_urls(config))
    preflight(config)
    changes = refuse_taken(config)
    best_effort = BestEffort(FirstPace(config, report))
    for change in changes:
        best_effort.report(change)
    before = read_status(config.run.url) or RunStatus()
    if before.status == DONE and _is_whole(config):
        best_effort.report(f"{config.run.url}: all {Curriculum.of(config).steps:,} steps are done already")
        return
    last = last_lease(config.run.url, best_effort.report)
    best_effort.report(Doing("starting Ray"))
    with ray_session() as ray:
        parallel = config.parallel
        fewest = parallel.min_workers or parallel.workers
        resources = worker_resources(ray, fewest, parallel.workers, "parallel.workers")
        heed(config, hardware(ray.nodes(), resources), before.step, best_effort.report, agree)
        lease = Lease(config.run.url, last)
        best_effort.report(Doing("starting workers and DeepSpeed"))
        with lease.renewed(best_effort):
            claim(config)
            status = StatusFile(config.run.url, lease, best_effort, recipe)
            with status.kept():
                Driver(ray, config, resources, lease, status, best_effort).run()
        best_effort.report(Doing("stopping Ray"))
    if failures := best_effort.summary():
        best_effort.report(failures)


def _is_whole(config: RunConfig) -> bool:
    """Whether there is an intact checkpoint of the last step."""
    newest, _ = newest_intact(config.run.url)
    return newest is not None and newest.step == Curriculum.of(config).steps


def _with_absolute_urls(config: RunConfig) -> RunConfig:
    """Make local URLs absolute paths, because workers run in their own directories."""
    init_from = config.run.init_from
    return replace(
        config,
        run=replace(config.run, url=absolute_url(config.run.url), init_from=init_from and absolute_url(init_from)),
        data=replace(config.data, shards=[absolute_url(url) for url in config.data.shards]),
    )
