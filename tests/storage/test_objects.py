"""One way to open a URL: local paths, and S3 through moto's server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.s3 import moto_bucket

from hdna import storage
from hdna.errors import InputError
from hdna.genome import GenomeStore, Interval
from hdna.storage.manifest import MANIFEST, FileEntry, put_manifest, read_manifest
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify


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


def test_an_object_reads_as_last_written_whole_in_part_and_in_blocks(place: str) -> None:
    url = storage.join(place, "a", "b.bin")
    assert not storage.exists(url)
    storage.write(url, b"0123456789")
    assert storage.read(url) == b"0123456789"
    assert storage.read_range(url, 3, 4) == b"3456"
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


def test_missing_objects_are_file_not_found(place: str, tmp_path: Path) -> None:
    url = storage.join(place, "none")
    for call in (storage.read, lambda u: storage.read_range(u, 0, 1), lambda u: list(storage.read_blocks(u))):
        with pytest.raises(FileNotFoundError):
            call(url)
    with pytest.raises(FileNotFoundError):
        storage.download(url, tmp_path / "got")
    assert not list(tmp_path.glob("got*"))


def test_upload_and_download_of_more_than_one_part(place: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * (80 << 10)
    (tmp_path / "big").write_bytes(data)
    storage.upload(tmp_path / "big", storage.join(place, "big"))
    storage.download(storage.join(place, "big"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_download_to_a_place_that_cannot_be_written_names_that_place(place: str, tmp_path: Path) -> None:
    storage.write(storage.join(place, "x"), b"x")
    with pytest.raises(InputError, match="nowhere"):
        storage.download(storage.join(place, "x"), tmp_path / "nowhere" / "x")


@pytest.mark.parametrize(
    "url", ["pipe:cat /etc/passwd", "http://host/x", "https://host/x", "ftp:x", "gopher://x", "s3:x"]
)
def test_other_schemes_and_nameless_buckets_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"not supported|names no bucket"):
        storage.read(url)


def test_a_missing_bucket_is_reported_in_one_line(bucket: str) -> None:
    with pytest.raises(InputError, match="s3://no-such-bucket/x: there is no bucket 'no-such-bucket'"):
        storage.write("s3://no-such-bucket/x", b"x")


def test_a_manifest_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    for name in ("../x", "/etc/passwd", "a/../../x", "s3://b/x", "a//b", ""):
        folder = tmp_path / str(abs(hash(name)))
        entry = FileEntry(1, "0" * 64)
        assert put_manifest(str(folder), MANIFEST, {"format": "k", "version": 1}, {name: entry})
        with pytest.raises(InputError, match="file table"):
            read_manifest(str(folder), MANIFEST, "k", 1)


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
