"""The data path through a bucket: prep writes, verify proves, training reads; a hostile manifest opens nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.command_line import hdna
from support.faulty_proxy import FaultyProxy
from support.manifests import seal

from hdna import storage
from hdna.data.cache import ShardCache
from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    write_genome(tmp_path / "g.fa", 60_000, contigs=2, seed=3)
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    return tmp_path / "g.zarr"


def test_a_set_in_a_bucket_reads_as_its_local_twin(
    genome: Path, bucket: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """Written, verified and read through a network that fails now and then: the same bytes."""
    for method, fault in (("PUT", "503"), ("PUT", "lost"), ("GET", "reset"), ("GET", "503"), ("GET", "cut")):
        proxy.plan(method, fault)
    hdna("prep", "shards", genome, "--out", f"{bucket}/set", "--window", 5000)
    hdna("prep", "shards", genome, "--out", tmp_path / "set", "--window", 5000)
    assert "sound" in hdna("prep", "verify", f"{bucket}/set")
    sets = [load_shard_set(url) for url in (f"{bucket}/set", str(tmp_path / "set"))]
    assert [shard.sha256 for shard in sets[0].shards] == [shard.sha256 for shard in sets[1].shards]
    proxy.plan("GET", "flip")
    # A cache that holds one shard at a time is enough.
    remote, local = (WindowReader([one], "train", ShardCache(tmp_path / "cache", limit_bytes=1)) for one in sets)
    assert len(remote) == len(local) > 5
    for window in range(len(remote)):
        crop = Crop(window, 7, "-")
        assert np.array_equal(remote.read(crop, 900)[0], local.read(crop, 900)[0])


@pytest.mark.parametrize(
    "name",
    [
        "pipe:cat /etc/passwd",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../x.tar",
        "sub/x.tar",
        "http://host/x.tar",
        "s3://other-bucket/x.tar",
        "~/x.tar",
        "x.tar?versionId=1",
        "x.tar\n",
        "%2e%2e%2fx.tar",
        "-x.tar",
        ".tar",
        "x",
        "",
    ],
)
def test_a_hostile_shard_name_is_refused_and_nothing_else_is_opened(
    name: str, bucket: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """In the list of shards, and in the table of files too, as one that knows the format would write it."""
    shard = {"url": name, "bytes": 1, "sha256": "0" * 64, "split": "train", "bases": 1, "samples": []}
    manifest = {"format": "hdna-shards", "version": 2, "window": 10, "shards": [shard], "totals": {}, "provenance": {}}
    place = f"{bucket}/manifest.json"
    proxy.requests.clear()
    for files, why in (
        ({}, r"\(Expected `str` matching regex .*tar.* at `\$\.shards\[0\]\.url`\)"),
        ({name: {"bytes": 1, "sha256": "0" * 64}}, r"(\$\.shards\[0\]\.url|its file table names .* outside)"),
    ):
        body = {**manifest, "files": files}
        seal(body)
        storage.write(place, json.dumps(body).encode())
        with pytest.raises(InputError, match=f"{place}: .*{why}.*the shard set is damaged") as caught:
            load_shard_set(bucket)
        assert "\n" not in str(caught.value)
    assert {request.partition("?")[0][-14:] for request in proxy.requests} == {"/manifest.json"}
    assert list(tmp_path.iterdir()) == []
