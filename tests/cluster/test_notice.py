"""A node that is about to be taken away: the run saves at once and goes on without it."""

import re
import threading
from pathlib import Path

import pytest
from support.two_nodes import OTHER, after_a_checkpoint, namespaces_possible, two_nodes

from hdna.run.files import read_json, read_metrics

STEPS = 300
TIMEOUT_S = 300


def test_what_is_read_of_ray_train_is_there() -> None:
    """Were the name another one, no notice would ever be seen."""
    from ray.train.v2._internal.execution.context import TrainContext
    from ray.train.v2._internal.execution.preemption import PreemptionContext

    assert "preemption_context" in TrainContext.__dataclass_fields__
    assert PreemptionContext().preemption_info is None


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.skipif(not namespaces_possible(), reason="needs root and `ip netns`, to give nodes their own network")
def test_a_run_saves_and_goes_on_before_a_node_is_taken_away(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    overrides = ["parallel.workers={min: 1, max: 2}", f"curriculum.1.until_tokens={STEPS * 2048}"]
    overrides += ["checkpoint.every_steps=50"]
    with two_nodes() as cluster:
        teller = threading.Thread(target=after_a_checkpoint, args=(run, lambda: cluster.announce_end(OTHER)))
        teller.start()
        done = cluster.hdna("train", tiny_recipe, f"run.url={run}", *overrides, timeout_s=TIMEOUT_S)
        teller.join()
    assert done.returncode == 0, done.stderr
    saved = re.search(r"saved at step (\d+), as a node is about to be taken away: going on", done.stderr)
    assert saved, done.stderr
    assert f"resumes after step {saved[1]};" in done.stderr and "1 worker(s)" in done.stderr, "no step is done again"
    assert [record.step for record in read_metrics(str(run))] == list(range(1, STEPS + 1))
    assert read_json(str(run), "state.json")["status"] == "done"
