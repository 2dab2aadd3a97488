"""A run whose shards and run URL lie in a bucket: the same weights as a local one, and all of it readable there."""

import os

import pytest
import torch
from moto.server import ThreadedMotoServer
from support.rank_tasks import run_training
from support.ranks import run_ranks, start_ranks

from hdna import storage
from hdna.checkpoint import list_checkpoints, load_weights
from hdna.genome.shard import load_shard_set
from hdna.report.page import write_report
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """s3://bucket on a mock server on loopback; its address and credentials in the environment, as users give them."""
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    yield "s3://bucket"
    server.stop()


def test_training_from_a_bucket_into_a_bucket(bucket, tiny_set, tiny_recipe, tmp_path):
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
    assert storage.object_size(write_report(url)) > 10_000
    cached = {path.name for path in (tmp_path / "cache" / "hdna" / "shards").iterdir()}
    assert {shard.sha256 + ".tar" for shard in load_shard_set(f"{bucket}/shards").shards} >= cached - {"lock"}
    assert len(cached) > 2
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in storage.read(f"{url}/environment.json")
