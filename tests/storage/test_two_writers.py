"""Two writers to one URL in a bucket: exactly one set wins, and all of its files are its own."""

from pathlib import Path
from typing import Any

import pytest
from support.faulty_proxy import FaultyProxy

from hdna import storage
from hdna.errors import InputError
from hdna.genome.shard_set import FORMAT, load_shard_set
from hdna.storage.manifest import FileEntry, describe_folder
from hdna.storage.staging import publish, staging
from hdna.storage.write_claim import CLAIM
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify

BODY: dict[str, Any] = {}


def make(folder: Path, content: bytes) -> dict[str, FileEntry]:
    for name in ("a.tar", "b.tar"):
        (folder / name).write_bytes(content)
    return describe_folder(folder)


def held(url: str) -> dict[str, bytes]:
    return {name: storage.read(storage.join(url, name)) for name in storage.list_objects(url)}


@pytest.mark.parametrize("moment", ["first file", "second file", "manifest", "claim gone"])
def test_the_second_writer_touches_nothing_at_any_moment(
    moment: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer, which began earlier, publishes just when the first is about to write that."""
    refused: list[str] = []
    upload, write_if_absent, delete = storage.upload, storage.write_if_absent, storage.delete
    at = {"first file": "a.tar", "second file": "b.tar", "manifest": "manifest.json", "claim gone": CLAIM}[moment]

    def second() -> None:
        if not refused:
            refused.append("")
            with pytest.raises(InputError, match=r"is being written there|already exists there") as caught:
                publish(tmp_path / "two", bucket, FORMAT, BODY, make(tmp_path / "two", b"second"))
            refused[0] = str(caught.value)

    def interrupted_upload(path: Path, url: str) -> None:
        if url.endswith(at):
            second()
        upload(path, url)

    def interrupted_put(url: str, data: bytes) -> bool:
        if url.endswith(at) and moment == "manifest":
            second()
        return write_if_absent(url, data)

    def interrupted_delete(url: str, names: list[str]) -> None:
        delete(url, names)
        if names == [CLAIM] and moment == "claim gone":
            second()

    monkeypatch.setattr(storage, "upload", interrupted_upload)
    monkeypatch.setattr(storage, "write_if_absent", interrupted_put)
    monkeypatch.setattr(storage, "delete", interrupted_delete)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    publish(tmp_path / "one", bucket, FORMAT, BODY, make(tmp_path / "one", b"first"))
    assert refused[0].startswith(bucket)
    found = held(bucket)
    assert found.pop("a.tar") == found.pop("b.tar") == b"first"
    assert set(found) == {"manifest.json"}


def test_an_interrupted_upload_is_continued_by_the_same_set_and_closed_to_others(
    bucket: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    files = make(tmp_path, b"same")
    proxy.plan("PUT", "", 4)  # two trials of the condition, the claim, a.tar
    proxy.plan("PUT", "503", 100)
    with pytest.raises(InputError, match=r"b\.tar: .*several attempts"):
        publish(tmp_path, bucket, FORMAT, BODY, files)
    proxy.forget()
    with pytest.raises(InputError, match="not a committed shard set"):
        load_shard_set(bucket)
    (tmp_path / "other").mkdir()
    with pytest.raises(
        InputError, match=rf"started but left unfinished: choose another name, or remove {bucket}/{CLAIM}"
    ):
        publish(tmp_path / "other", bucket, FORMAT, BODY, make(tmp_path / "other", b"other"))
    assert set(held(bucket)) == {"a.tar", CLAIM}
    publish(tmp_path, bucket, FORMAT, BODY, files)
    assert set(held(bucket)) == {"a.tar", "b.tar", "manifest.json"}


def test_two_prep_runs_to_one_url_leave_one_whole_set(bucket: str, tmp_path: Path) -> None:
    """The second one starts while nothing stands there, and finishes after the first."""
    write_genome(tmp_path / "g.fa", 30_000, seed=4)
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    with staging(bucket, FORMAT.noun) as folder:
        first = write_shards([str(tmp_path / "g.zarr")], bucket, window=5000)
        with pytest.raises(InputError, match="a shard set already exists there; it is never overwritten"):
            publish(folder, bucket, FORMAT, BODY, make(folder, b"late"))
    assert verify(bucket) == []
    assert load_shard_set(bucket).totals == first.totals
    assert CLAIM not in storage.list_objects(bucket)
