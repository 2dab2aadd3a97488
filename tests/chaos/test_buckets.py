"""Faults of a bucket and of the network to it: the run ends with the bits of one that nobody disturbed."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support.chaos import TIMES, Row, inject
from support.chaos_ranks import STEPS, RankRun
from support.faulty_proxy import FaultyProxy, faulty_network
from support.rank_tasks import run_impatient
from support.s3 import moto_bucket

from hdna.checkpoint import LoadedCheckpoint

pytestmark = [pytest.mark.fault, pytest.mark.ranks, pytest.mark.server, pytest.mark.xdist_group("chaos")]


@pytest.fixture
def bucket() -> Iterator[str]:
    with moto_bucket() as url:
        yield url


@pytest.fixture
def proxy(bucket: str) -> Iterator[FaultyProxy]:
    """Between that bucket and everybody."""
    with faulty_network() as proxy:
        yield proxy


def fails_often(run: RankRun, rng: random.Random, proxy: FaultyProxy, fault: str) -> None:
    """Three requests of ten, from the run's start to its end; all that was committed meanwhile is whole."""
    before = proxy.faults
    proxy.plan_share(fault, 0.3, seed=rng.randrange(1000))
    run.start(run_impatient)
    run.finish()
    proxy.forget()
    assert proxy.faults > before
    run.disturbed()


def hangs(run: RankRun, rng: random.Random, proxy: FaultyProxy) -> None:
    """Two answers stop in their middle and never go on."""
    before = proxy.faults
    leader, _ = run.start(run_impatient)
    leader.wait_for_step(rng.randint(1, STEPS - 4))
    run.disturbed()
    for method in ("GET", "PUT"):
        proxy.plan(method, "stall")
    run.finish()
    assert proxy.faults == before + 2


def refuses_writes(run: RankRun, rng: random.Random, proxy: FaultyProxy) -> None:
    """For so long that three saves fail and the run ends."""
    leader, _ = run.start(run_impatient)
    leader.wait_for_step(rng.randint(1, 2))
    run.disturbed()
    proxy.plan("PUT", "503", 100_000)
    assert leader.wait() != 0
    assert leader.output().count("was not saved: ") == 3
    assert "503 Service Unavailable after several attempts" in leader.output()
    proxy.forget()
    run.resume()


FAULTS: dict[str, Callable[..., None]] = {
    "a bucket that answers 3 of 10 requests with 503": partial(fails_often, fault="503"),
    "a network that loses 3 of 10 answers": partial(fails_often, fault="lost"),
    "a network that tears 3 of 10 answers": partial(fails_often, fault="cut"),
    "a bucket that hangs": hangs,
    "a bucket that refuses writes": refuses_writes,
}


IN_CHAOS_ALONE = {
    "a network that loses 3 of 10 answers",
    "a network that tears 3 of 10 answers",
    "a bucket that hangs",
}
"""A minute, most of it waiting, which `make test` is spared: there each of them strikes reads and writes alone
(tests/storage/test_faults.py), and these runs have a bucket's 503.
"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.chaos] if name in IN_CHAOS_ALONE else []) for name in FAULTS]
)
def test_the_run_ends_as_if_nothing_had_happened(
    name: str,
    bucket: str,
    proxy: FaultyProxy,
    tiny_recipe: Path,
    undisturbed: LoadedCheckpoint,
    rows: dict[str, Row],
) -> None:
    rng = random.Random(name)
    for number in range(TIMES):
        run = RankRun(tiny_recipe, f"{bucket}/{number}")
        inject(name, rows, partial(FAULTS[name], proxy=proxy), run, rng, undisturbed)
