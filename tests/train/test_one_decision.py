"""Where to resume is decided once, by rank 0, which alone reads the checkpoint: the others take what it has found."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from support.faulty_proxy import FaultyProxy, faulty_network
from support.rank_tasks import run_training
from support.ranks import run_ranks, start_ranks
from support.s3 import moto_bucket

from hdna.checkpoint import load_weights
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


@pytest.fixture
def interrupted(tiny_recipe: Path) -> Iterator[str]:
    """The URL of a run of one rank in a bucket, killed after the checkpoint of step 4."""
    with moto_bucket() as bucket:
        url = f"{bucket}/run"
        (rank,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}"])
        rank.wait_for_step(5)
        rank.kill()
        yield url


@pytest.fixture
def proxy(interrupted: str) -> Iterator[FaultyProxy]:
    """Between that bucket and the ranks to come."""
    with faulty_network() as proxy:
        yield proxy


@pytest.mark.parametrize("fault", ["", "flip"])
def test_three_ranks_resume_from_one_read_of_the_checkpoint(
    fault: str, interrupted: str, proxy: FaultyProxy, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Also when its bytes are damaged on their way, once: they are read again, and no older checkpoint is taken."""
    part = "step-000004/part-00000-of-00001"
    proxy.plan_for(part, fault)
    overrides = [f"run.url={interrupted}", "parallel.workers=3"]
    (leader, *_) = run_ranks(3, run_training, recipe=tiny_recipe, overrides=overrides)
    assert "resumes after step 4" in leader.output() and "skipped a damaged" not in leader.output()
    requests = list(takewhile(lambda request: "step-000006" not in request, proxy.requests))
    reads = sum(request.startswith("GET ") and part in request for request in requests)
    assert reads == (3 if fault else 1), "once to load; after a fault once to see whether it is damaged, then again"
    assert [record.step for record in read_metrics(interrupted)] == list(range(1, 11))
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={tmp_path / 'undisturbed'}"])
    expected = load_weights(str(tmp_path / "undisturbed"))
    for name, value in load_weights(interrupted).items():
        error = float((value - expected[name]).abs().max() / expected[name].abs().max())
        assert error <= 1e-4, f"{name}: {error:.1e}"  # ten steps of Adam, see test_resume.py
