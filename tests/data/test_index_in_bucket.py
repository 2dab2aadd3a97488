"""A large shard set in a bucket: its index is read with its shards, and again when the network changes a bit of it."""

from pathlib import Path

import numpy as np
import pytest
from support.faulty_proxy import FaultyProxy

from hdna.data.cache import ShardCache
from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna_prep import shards
from hdna_prep.verify import verify

PART = "train-000001.json"


@pytest.fixture
def large(proxy: FaultyProxy, tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a large set of some shards."""
    monkeypatch.setattr(shards, "_SHARD_BASES", 20_000)
    monkeypatch.setattr(shards, "_MAX_WINDOWS_IN_MANIFEST", 0)
    url = f"s3://shared/{tmp_path.name}"
    assert shards.write_shards([str(tiny_set.parent / "genome.zarr")], url, window=2048).lengths
    return url


def test_a_large_set_in_a_bucket_is_read_as_the_ordinary_one_on_disk(
    large: str, tiny_set: Path, tmp_path: Path, proxy: FaultyProxy
) -> None:
    assert verify(large) == []
    proxy.requests.clear()
    proxy.plan_for(PART, "flip")
    cache = ShardCache(tmp_path / "cache")
    remote, local = (WindowReader([load_shard_set(url)], "train", cache) for url in (large, str(tiny_set)))
    assert len(remote) == len(local)
    assert [request.rsplit("/", 1)[-1] for request in proxy.requests] == ["manifest.json", "lengths.npy"]
    for window in range(len(remote)):
        crop, bases = Crop(window, 5, "-"), remote.bases(window) - 5
        assert np.array_equal(remote.read(crop, bases)[0], local.read(crop, bases)[0])
    asked = [request.rsplit("/", 1)[-1] for request in proxy.requests if request.endswith(".json")]
    assert asked.count(PART) == 2 and len(asked) == len(set(asked)) + 1


def test_a_part_that_stays_changed_is_refused(large: str, proxy: FaultyProxy) -> None:
    proxy.plan("GET", "", 2)  # manifest and lengths
    reader = WindowReader([load_shard_set(large)], "train", ShardCache())
    proxy.plan("GET", "flip", 2)
    with pytest.raises(InputError, match=rf"{large}/train-000000.json does not have the sha256 its manifest says"):
        reader.bases(0)
