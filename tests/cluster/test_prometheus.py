"""A run's numbers in Prometheus: what Ray's own endpoint exports."""

import os
import re
import subprocess
import sys

import pytest
from support.fork_server import REPO

RUN = "s3://bucket/hdna/runs/a+b"
HEARD = f"""
import time, urllib.request
from hdna.run.events import CheckpointSaved, StepDone, WorkersStarted
from hdna.run.step_record import StepRecord
from hdna_cluster.prometheus import Gauges
from hdna_cluster.session import ray_session

record = StepRecord(step=3, tokens=300, stage=1, context_length=64, loss=1.25, valid_bits_per_base=1.75, skipped=1,
                    learning_rate=0.5, grad_norm=2.5, tokens_per_second=1e4, seconds=0.75, data_wait_fraction=0.125,
                    memory_gib=3.5)
with ray_session() as ray:
    gauges = Gauges({RUN!r})
    for event in (WorkersStarted(8), StepDone(record, 10), CheckpointSaved(2, "a url"), StepDone(record, 10)):
        gauges.hear(event)
    gauges.lost()
    gauges.hear(WorkersStarted(6))
    (node,) = ray.nodes()
    endpoint = f"http://{{node['NodeManagerAddress']}}:{{node['MetricsExportPort']}}/metrics"
    for _ in range(20):  # ten seconds, for five of which Ray would forget what nobody renews
        time.sleep(0.5)
        gauges.renew()
    print(urllib.request.urlopen(endpoint, timeout=30).read().decode())
"""


@pytest.fixture(scope="module")
def exported() -> dict[str, tuple[str, float]]:
    """Kind and value of each metric of hdna that a scrape of Ray's endpoint finds, some seconds after its event."""
    done = subprocess.run(
        [sys.executable, "-c", HEARD],
        env={**os.environ, "RAY_metrics_report_interval_ms": "1000", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kinds = dict(re.findall(r"^# TYPE (ray_hdna_\w+) (\w+)$", done.stdout, re.MULTILINE))
    found = re.findall(r'^(ray_hdna_\w+)\{.*\brun="(.*?)".*\} (\S+)$', done.stdout, re.MULTILINE)
    assert {run for _, run, _ in found} == {RUN}
    assert len(found) == len(kinds)
    return {name: (kinds[name], float(value)) for name, _, value in found}


@pytest.mark.ray
def test_ray_exports_what_was_heard_of_for_as_long_as_it_is_renewed(exported: dict[str, tuple[str, float]]) -> None:
    of_a_step = {"step": 3, "tokens": 300, "context_length": 64, "loss": 1.25, "valid_bits_per_base": 1.75}
    of_a_step |= {"learning_rate": 0.5, "grad_norm": 2.5, "tokens_per_second": 1e4, "seconds": 0.75, "skipped": 1}
    of_a_step |= {"data_wait_fraction": 0.125, "memory_gib": 3.5}
    gauges = {**of_a_step, "steps": 10, "checkpoint_step": 2, "workers": 6}
    wanted = {f"ray_hdna_{name}": ("gauge", float(value)) for name, value in gauges.items()}
    assert exported == {**wanted, "ray_hdna_lost_total": ("counter", 1.0)}
