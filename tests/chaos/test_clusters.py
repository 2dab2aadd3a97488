"""Faults of workers, nodes, networks, drivers and clocks, through real Ray: the run ends with the weights of one that
nobody disturbed, to the last bit on as many workers.
"""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from support.chaos import TIMES, Row, inject
from support.chaos_cluster import STEPS, ClusterRun
from support.two_nodes import OTHER, TwoNodes, namespaces_possible, two_nodes
from support.wall_clock import set_clock

from hdna.checkpoint import LoadedCheckpoint, list_checkpoints
from hdna.run.files import read_json, read_metrics

HOUR_S = 3600
pytestmark = [pytest.mark.fault, pytest.mark.ray, pytest.mark.chaos]


@pytest.fixture(scope="module")
def undisturbed(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    """The last checkpoint of a run on this machine that nobody disturbed."""
    run = ClusterRun(tiny_recipe, str(tmp_path_factory.mktemp("chaos") / "undisturbed"))
    run.start()
    run.finish()
    return run.last_checkpoint()


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """A cluster of two nodes, for all faults: whoever breaks the second one replaces it."""
    if not namespaces_possible():
        pytest.skip("needs root and `ip netns`, to give nodes their own network")
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def undisturbed_on_nodes(
    nodes: TwoNodes, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> LoadedCheckpoint:
    """The last checkpoint of a run on both nodes that nobody disturbed."""
    run = ClusterRun(tiny_recipe, str(tmp_path_factory.mktemp("chaos") / "undisturbed"), nodes)
    run.start()
    run.finish()
    return run.last_checkpoint()


def some_step(rng: random.Random) -> int:
    """Late enough for a checkpoint, early enough for a fault to strike before the end."""
    return rng.randint(3, STEPS // 3)


def a_worker_is_killed(run: ClusterRun, rng: random.Random) -> None:
    command = run.start_until(some_step(rng))
    os.kill(rng.choice(command.workers()), signal.SIGKILL)
    said = run.finish_after(time.monotonic())
    (line,) = [line for line in said.splitlines() if "was lost" in line]
    assert re.search(f"{run.url}: worker [01] was lost: its worker process has died", line)
    assert line.endswith(": going on from the newest checkpoint")


def the_driver_is_killed(run: ClusterRun, rng: random.Random) -> None:
    run.start_until(some_step(rng)).send(signal.SIGKILL)
    assert "looking for" not in run.resume(), "a killed process of this machine, here a zombie, is known to be gone"


def the_driver_is_told_to_stop(run: ClusterRun, rng: random.Random) -> None:
    command = run.start_until(some_step(rng))
    command.send(signal.SIGTERM)
    assert command.wait() == 130, command.said()
    run.resume()
    assert run.redone == [0]


def the_driver_is_paused_and_replaced(run: ClusterRun, rng: random.Random) -> None:
    """With its workers and the rest of its Ray, as a machine is that sleeps; woken, it commits nothing."""
    first = run.start_until(some_step(rng))
    everything = first.everything()
    for process in everything:
        process.suspend()
    assert "was training this run: looking for 10 s whether it still is" in run.resume()
    before = list_checkpoints(run.url)
    for process in everything:
        process.resume()
    assert first.wait() == 1, first.said()
    assert re.search(f"^hdna: error: {run.url}: process .* has taken this run over", first.said(), re.MULTILINE)
    assert list_checkpoints(run.url) == before


def clock_of(url: str) -> Path:
    return Path(f"{url}.clock")


def assert_clock(run: ClusterRun, ahead_s: int) -> None:
    """The run ended with that clock, in the driver and in the workers."""
    for written in (read_json(run.url, "state.json")["heartbeat"], read_metrics(run.url)[-1].time):
        found = datetime.strptime(str(written), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - datetime.now(UTC)
        assert abs(found.total_seconds() - ahead_s) < HOUR_S / 2


def the_clock_jumps_in_a_step(run: ClusterRun, rng: random.Random) -> None:
    """Nobody notices."""
    ahead_s = rng.choice([HOUR_S, -HOUR_S])
    run.start_until(some_step(rng))
    set_clock(clock_of(run.url), ahead_s)
    assert "was lost" not in run.finish()
    assert_clock(run, ahead_s)


def the_clock_jumps_while_nobody_trains(run: ClusterRun, rng: random.Random) -> None:
    ahead_s = rng.choice([HOUR_S, -HOUR_S])
    run.start_until(some_step(rng)).send(signal.SIGKILL)
    set_clock(clock_of(run.url), ahead_s)
    run.resume()
    assert_clock(run, ahead_s)


CLOCK_FAULTS = {
    "the clock set an hour ahead or back in a step": the_clock_jumps_in_a_step,
    "the clock set likewise between kill -9 and the command": the_clock_jumps_while_nobody_trains,
}
FAULTS = {
    "kill -9 of a worker of Ray in a step": a_worker_is_killed,
    "kill -9 of the driver, the command again": the_driver_is_killed,
    "SIGTERM to the driver, the command again": the_driver_is_told_to_stop,
    "a driver paused with all its workers, and replaced": the_driver_is_paused_and_replaced,
    **CLOCK_FAULTS,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_on_this_machine_ends_as_if_nothing_had_happened(
    name: str, tiny_recipe: Path, undisturbed: LoadedCheckpoint, tmp_path: Path, rows: dict[str, Row]
) -> None:
    rng = random.Random(name)
    for number in range(TIMES):
        url = str(tmp_path / str(number))
        run = ClusterRun(tiny_recipe, url, clock=clock_of(url) if name in CLOCK_FAULTS else None)
        inject(name, rows, FAULTS[name], run, rng, undisturbed)


def the_second_node_is_lost(run: ClusterRun, rng: random.Random, nodes: TwoNodes) -> None:
    """Its raylet, its worker and all else of it, at once."""
    run.start_until(some_step(rng))
    nodes.kill(OTHER)
    assert_went_on_alone(run, nodes)


def the_second_node_is_to_be_taken_away(run: ClusterRun, rng: random.Random, nodes: TwoNodes) -> None:
    """It is told so, and is; nothing is done again."""
    run.start_until(some_step(rng))
    nodes.announce_end(OTHER)
    said = assert_went_on_alone(run, nodes)
    assert re.search(r"saved at step \d+, as a node is about to be taken away: going on", said)
    assert run.redone == [0]


def the_network_is_cut(run: ClusterRun, rng: random.Random, nodes: TwoNodes) -> None:
    """Between the nodes, on both of which everything lives, and silently, as by a switch that has lost its power."""
    run.start_until(some_step(rng))
    nodes.plug(OTHER, "down")
    assert_went_on_alone(run, nodes)


def assert_went_on_alone(run: ClusterRun, nodes: TwoNodes) -> str:
    """On the head's node; the other one is replaced afterwards, for the next run. Return what the run said."""
    began = time.monotonic()
    try:
        said = run.finish_after(began)
    finally:
        nodes.replace_until_seen(OTHER)
    assert "going on from the newest checkpoint" in said
    assert re.findall(r"(\d) worker\(s\), ZeRO", said) == ["2", "1"]
    return said


def the_second_node_is_replaced(run: ClusterRun, rng: random.Random, nodes: TwoNodes) -> None:
    run.start_until(some_step(rng))
    began = time.monotonic()
    nodes.replace(OTHER)
    said = run.finish_after(began)
    assert re.findall(r"(\d) worker\(s\), ZeRO", said) == ["2", "2"]


ELASTIC = "{min: 1, max: 2}"
NODE_FAULTS = {
    "kill -9 of all of a node, no other in its place": the_second_node_is_lost,
    "kill -9 of all of a node, another in its place": the_second_node_is_replaced,
    "notice that a node is taken away": the_second_node_is_to_be_taken_away,
    "the network between two nodes cut": the_network_is_cut,
}


@pytest.mark.parametrize("name", NODE_FAULTS)
def test_a_run_over_two_nodes_ends_as_if_nothing_had_happened(
    name: str,
    nodes: TwoNodes,
    tiny_recipe: Path,
    undisturbed_on_nodes: LoadedCheckpoint,
    tmp_path: Path,
    rows: dict[str, Row],
) -> None:
    """With one worker instead of two the weights are those of two up to rounding: samples and their order are the
    same.
    """
    rng = random.Random(name)
    same = NODE_FAULTS[name] is the_second_node_is_replaced
    for number in range(TIMES):
        run = ClusterRun(tiny_recipe, str(tmp_path / str(number)), nodes, "2" if same else ELASTIC)
        fault = partial(NODE_FAULTS[name], nodes=nodes)
        inject(name, rows, fault, run, rng, undisturbed_on_nodes, tolerance=0.0 if same else 1e-4)
