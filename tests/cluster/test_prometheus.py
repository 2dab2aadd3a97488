"""A run's numbers in Prometheus and Grafana: what Ray's own endpoint exports, and a dashboard of nothing else."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.cluster_files import CLUSTER
from support.fork_server import REPO

DASHBOARD = CLUSTER / "grafana" / "hdna.json"
COLUMNS = 24
"""Of Grafana's grid."""
RUN = "s3://bucket/hdna/runs/a+b"
WORDS = {"max", "sum", "by", "avg_over_time", "run", "m"}
"""PromQL's, a label and a unit, beside numbers and names of metrics."""
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
    for _ in range(14):  # seven seconds, for five of which Ray would forget what nobody renews
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
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kinds = dict(re.findall(r"^# TYPE (ray_hdna_\w+) (\w+)$", done.stdout, re.MULTILINE))
    found = re.findall(r'^(ray_hdna_\w+)\{.*\brun="(.*?)".*\} (\S+)$', done.stdout, re.MULTILINE)
    assert {run for _, run, _ in found} == {RUN}
    assert len(found) == len(kinds)
    return {name: (kinds[name], float(value)) for name, _, value in found}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.ray
def test_ray_exports_what_was_heard_of_for_as_long_as_it_is_renewed(exported: dict[str, tuple[str, float]]) -> None:
    of_a_step = {"step": 3, "tokens": 300, "context_length": 64, "loss": 1.25, "valid_bits_per_base": 1.75}
    of_a_step |= {"learning_rate": 0.5, "grad_norm": 2.5, "tokens_per_second": 1e4, "seconds": 0.75, "skipped": 1}
    of_a_step |= {"data_wait_fraction": 0.125, "memory_gib": 3.5}
    gauges = {**of_a_step, "steps": 10, "checkpoint_step": 2, "workers": 6}
    wanted = {f"ray_hdna_{name}": ("gauge", float(value)) for name, value in gauges.items()}
    assert exported == {**wanted, "ray_hdna_lost_total": ("counter", 1.0)}


@pytest.mark.ray
def test_the_dashboard_shows_every_metric_that_ray_exports_and_no_other(
    exported: dict[str, tuple[str, float]], dashboard: dict[str, Any]
) -> None:
    shown = {name for text in expressions(dashboard) for name in re.findall(r"ray_\w+", text)}
    assert shown == exported.keys()


def test_every_expression_is_of_the_chosen_runs_one_line_for_each(dashboard: dict[str, Any]) -> None:
    """A driver that takes over makes series of its own, until Prometheus has forgotten those of the one before: of a
    gauge the largest counts, of a counter the sum.
    """
    for text in expressions(dashboard):
        names = re.findall(r"ray_hdna_\w+", text)
        assert names and re.findall(r'(ray_hdna_\w+)\{run=~"\$run"\}', text) == names
        both = "sum" if "_total" in text else "max"
        assert len(re.findall(rf"{both} by \(run\) \(", text)) == len(names)
        bare = re.sub(r'ray_hdna_\w+\{run=~"\$run"\}', "", text)
        assert set(re.findall(r"[a-z_]+", bare)) <= WORDS
        assert all(text.count(left) == text.count(right) for left, right in ("()", "[]", "{}"))


def test_panels_have_ids_titles_and_descriptions_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len({panel["title"] for panel in panels}) == len({panel["description"] for panel in panels}) == len(panels)
    cells: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= COLUMNS
        across, down = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells.update(itertools.product(across, down))
    height = max(row for _, row in cells) + 1
    assert set(cells.values()) == {1} and len(cells) == COLUMNS * height, "overlaps, or gaps"
    for panel in panels:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all("{{run}}" in target["legendFormat"] for target in panel["targets"])


def test_data_source_and_run_are_chosen_on_the_page(dashboard: dict[str, Any]) -> None:
    source, run = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert (run["name"], run["query"]["query"]) == ("run", "label_values(ray_hdna_step, run)")
    asked = [*dashboard["panels"], *(target for panel in dashboard["panels"] for target in panel["targets"]), run]
    assert all(part["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for part in asked)
    assert dashboard["uid"] and "id" not in dashboard  # Grafana finds it again by the one, and chooses the other
