"""`hdna prep genome --backend ray`: segments as Ray tasks give the store that processes give."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.files import bytes_of

from hdna import storage
from hdna.errors import InputError
from hdna.genome import arrays
from hdna.storage.staging import InterruptedWorkError
from hdna_cluster.pool import RayPool, ray_pool
from hdna_prep import segments
from hdna_prep.encode import encode_genome
from hdna_prep.synthetic import write_genome

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    with ray_pool(2) as made:
        yield made


def test_same_bytes_as_in_one_process(pool: RayPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 2048)
    monkeypatch.setattr(segments, "CHUNKS_PER_SEGMENT", 2)
    write_genome(tmp_path / "g.fa", 100_000, contigs=3, seed=4)
    for name, where in (("ray", pool), ("here", None)):
        assert encode_genome([str(tmp_path / "g.fa")], str(tmp_path / name), pool=where).bases == 100_000
    assert len(bytes_of(tmp_path / "ray")) > 20
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "here")


def test_errors_come_back_as_they_were(pool: RayPool) -> None:
    with pytest.raises(InputError, match="s3://b/x: is in a bucket: give a local path here"):
        pool.submit(storage.local_path, "s3://b/x")()


def test_a_lost_worker_is_explained(pool: RayPool) -> None:
    with pytest.raises(InterruptedWorkError, match="a Ray worker was lost"):
        pool.submit(lambda: os._exit(9))()
