"""A run whose shards and run URL lie in a bucket: the same weights as a local one, and all of it readable there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.rank_tasks import run_training
from support.ranks import run_ranks, start_ranks
from support.s3 import moto_bucket

from hdna import storage
from hdna.checkpoint import list_checkpoints, load_weights
from hdna.genome.shard_set import load_shard_set
from hdna.report.page import write_report
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket on a mock server; shards are cached in tmp_path/cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with moto_bucket() as url:
        yield url


def test_training_in_a_bucket_ends_with_the_weights_of_a_local_run(
    bucket: str, tiny_set: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    for path in sorted(tiny_set.iterdir()):
        storage.upload(path, f"{bucket}/shards/{path.name}")
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={tmp_path / 'local'}"])

    url, data = f"{bucket}/run", f"data.shards=[{bucket}/shards]"
    (rank,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}", data])
    rank.wait_for_step(5)
    rank.kill()
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={url}", data])

    expected = load_weights(str(tmp_path / "local"))
    assert all(torch.equal(value, expected[name]) for name, value in load_weights(url).items())
    assert [ref.step for ref in list_checkpoints(url)] == [2, 4, 6, 8, 10]
    assert [record.step for record in read_metrics(url)] == list(range(1, 11))
    assert any("tensorboard" in name for name in storage.list_objects(url))
    assert len(storage.read(write_report(url))) > 10_000
    cached = {path.name for path in (tmp_path / "cache" / "hdna" / "shards").iterdir()}
    assert {shard.sha256 + ".tar" for shard in load_shard_set(f"{bucket}/shards").shards} >= cached - {"lock"}
    assert len(cached) > 2
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in storage.read(f"{url}/environment.json")
