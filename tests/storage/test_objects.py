"""One way to open a URL: local paths, and S3 through moto's server on loopback."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.s3 import moto_bucket

from hdna import storage
from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval
from hdna.storage.manifest import FileEntry, Format, put_manifest, read_manifest
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify

FORMAT = Format("hdna-test", 1, "test set")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An empty bucket of a mock server."""
    with moto_bucket() as url:
        yield url


@pytest.fixture(params=["local", "file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh URL of each kind."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"
    return f"file://{tmp_path}/x" if request.param == "file" else str(tmp_path / "x")


def test_an_object_reads_as_last_written_whole_and_in_blocks(place: str) -> None:
    url = storage.join(place, "a", "b.bin")
    assert not storage.exists(url)
    storage.write(url, b"0123456789")
    assert storage.read(url) == b"0123456789"
    assert b"".join(storage.read_blocks(url)) == b"0123456789"
    assert storage.object_size(url) == 10
    storage.write(url, b"other")
    assert storage.read(url) == b"other"


def test_only_the_first_conditional_write_wins(place: str) -> None:
    url = storage.join(place, "claim")
    assert storage.write_if_absent(url, b"first")
    assert not storage.write_if_absent(url, b"second")
    assert storage.read(url) == b"first"


def test_listing_is_relative_and_stops_at_the_folder(place: str) -> None:
    assert storage.list_objects(place) == {}
    for name in ("one", "deep/er/two"):
        storage.write(storage.join(place, name), b"x" * len(name))
    storage.write(place + "-neighbour/three", b"x")
    assert storage.list_objects(place) == {"one": 3, "deep/er/two": 11}
    storage.delete(place, ["one", "deep/er/two", "never-there"])
    assert storage.list_objects(place) == {}


def test_missing_objects_are_file_not_found(place: str) -> None:
    url = storage.join(place, "none")
    for call in (storage.read, lambda u: list(storage.read_blocks(u))):
        with pytest.raises(FileNotFoundError):
            call(url)
    assert storage.object_size(url) is None


def test_an_upload_of_more_than_one_part_reads_back(place: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * (80 << 10)
    (tmp_path / "big").write_bytes(data)
    storage.upload(tmp_path / "big", storage.join(place, "big"))
    assert b"".join(storage.read_blocks(storage.join(place, "big"))) == data


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = str(tmp_path / "file" / "x")
    for write in (storage.write, storage.write_if_absent, lambda url, _: storage.upload(tmp_path / "file", url)):
        with pytest.raises(InputError, match=f"{place}: Not a directory: a part of the path is a file"):
            write(place, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "url", ["pipe:cat /etc/passwd", "http://host/x", "https://host/x", "ftp:x", "gopher://x", "s3:x"]
)
def test_other_schemes_and_nameless_buckets_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"not supported|names no bucket"):
        storage.read(url)


def test_a_missing_bucket_is_reported_in_one_line(bucket: str) -> None:
    with pytest.raises(InputError, match="s3://no-such-bucket/x: there is no bucket 'no-such-bucket'"):
        storage.write("s3://no-such-bucket/x", b"x")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "s3://b/x", "a//b", ".", "a/.", ""])
def test_a_manifest_cannot_name_a_file_elsewhere(name: str, tmp_path: Path) -> None:
    assert put_manifest(str(tmp_path), FORMAT, {}, {name: FileEntry(1, "0" * 64)})
    with pytest.raises(InputError, match=f"its file table names {re.escape(repr(name))}, which lies outside"):
        read_manifest(str(tmp_path), FORMAT)


def test_store_and_shards_in_a_bucket_behave_as_local_ones(bucket: str, tmp_path: Path) -> None:
    """The whole path on S3: they read as local ones, verify, refuse a second writer and notice a deleted object."""
    write_genome(tmp_path / "g.fa", 40_000, seed=2)
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    remote = f"{bucket}/genomes/g.zarr"
    encode_genome([str(tmp_path / "g.fa")], remote)
    interval = Interval("chr1", 100, 39_900, "-")
    assert GenomeStore.open(remote).read_ascii(interval) == GenomeStore.open(str(tmp_path / "g.zarr")).read_ascii(
        interval
    )
    assert write_shards([remote], f"{bucket}/shards", window=5000).totals["train"].bases > 20_000
    assert verify(remote) == []
    assert verify(f"{bucket}/shards") == []
    with pytest.raises(InputError, match="never overwritten"):
        encode_genome([str(tmp_path / "g.fa")], remote)
    storage.delete(remote, ["bases/c/0"])
    with pytest.raises(InputError, match="bases/c/0 is missing"):
        GenomeStore.open(remote)
