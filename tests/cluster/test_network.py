"""Two nodes of their own network addresses: ranks meet whatever the host's name resolves to, and a lost node is done
without.
"""

import threading
from pathlib import Path

import pytest
from support.two_nodes import OTHER, after_a_checkpoint, namespaces_possible, two_nodes

from hdna.checkpoint import load_weights
from hdna.run.files import read_json, read_metrics
from hdna_cluster.network import interface_of

STEPS = 60
TIMEOUT_S = 300


def test_the_interface_is_the_one_with_the_address() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.200") is None, "an address for documentation, which no machine has"


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.skipif(not namespaces_possible(), reason="needs root and `ip netns`, to give nodes their own network")
def test_a_run_over_two_nodes_goes_on_without_the_one_that_is_lost(tiny_recipe: Path, tmp_path: Path) -> None:
    """Its weights are then those of two workers, up to rounding: samples and their order are the same."""
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    overrides = ["parallel.workers={min: 1, max: 2}", f"curriculum.1.until_tokens={STEPS * 2048}"]
    overrides += ["optim.learning_rate=1e-4"]  # at the recipe's, rounding grows from step to step
    with two_nodes() as cluster:
        whole = cluster.hdna("train", tiny_recipe, f"run.url={undisturbed}", *overrides, timeout_s=TIMEOUT_S)
        assert whole.returncode == 0, whole.stderr
        killer = threading.Thread(target=after_a_checkpoint, args=(run, lambda: cluster.kill(OTHER)))
        killer.start()
        done = cluster.hdna("train", tiny_recipe, f"run.url={run}", *overrides, timeout_s=TIMEOUT_S)
        killer.join()
    assert "2 worker(s)" in whole.stderr
    assert done.returncode == 0, done.stderr
    assert "going on from the newest checkpoint" in done.stderr and "1 worker(s)" in done.stderr
    assert read_json(str(run), "state.json")["status"] == "done"
    assert [record.step for record in read_metrics(str(run))] == list(range(1, STEPS + 1))
    for name, value in load_weights(str(undisturbed)).items():
        error = float((load_weights(str(run))[name] - value).abs().max() / value.abs().max())
        assert error <= 1e-4, f"{name}: {error:.1e}"
