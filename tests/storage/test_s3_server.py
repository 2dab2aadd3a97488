"""Storage on a real S3 server: what it holds, and what it refuses."""

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from support.command_line import hdna
from support.levels import heard_levels
from support.s3 import SECRET, use

from hdna import storage
from hdna.errors import InputError
from hdna.run.status import RunStatus
from hdna.storage import bucket as bucket_module

CALLS: dict[str, Callable[[str], object]] = {
    "read": storage.read,
    "parts": lambda url: list(storage.read_blocks(url)),
    "size": storage.object_size,
    "write": lambda url: storage.write(url, b"x"),
    "write_if_absent": lambda url: storage.write_if_absent(url, b"x"),
    "listing": storage.list_objects,
    "level": storage.list_level,
}


def test_objects_are_written_read_listed_and_deleted(bucket: str) -> None:
    url = storage.join(bucket, "deep", "a b+c%d.bin")
    assert not storage.exists(url)
    storage.write(url, b"0123456789")
    assert storage.read(url) == b"".join(storage.read_blocks(url)) == b"0123456789"
    storage.write(url, b"other")
    storage.write(f"{bucket}-neighbour", b"x")
    assert storage.list_objects(bucket) == {"deep/a b+c%d.bin": 5}
    storage.delete(bucket, ["deep/a b+c%d.bin", "never-there"])
    assert storage.list_objects(bucket) == {}
    with pytest.raises(FileNotFoundError):
        storage.read(url)


def test_a_level_is_what_lies_right_below(bucket: str) -> None:
    """No object of a deeper level, nor of a neighbour whose name begins alike."""
    for name in ("a b", "run/recipe.yaml", "run/checkpoints/step-000001/part", "grid/lr+1%/deep/x", "runs2"):
        storage.write(storage.join(bucket, name), b"x")
    storage.write(f"{bucket}-neighbour/x", b"x")
    levels = {
        "": ({"a b", "runs2"}, {"run", "grid"}),
        "run": ({"recipe.yaml"}, {"checkpoints"}),
        "grid": (set(), {"lr+1%"}),
        "grid/lr+1%": (set(), {"deep"}),
        "nothing": (set(), set()),
    }
    for name, wanted in levels.items():
        names, folders = storage.list_level(storage.join(bucket, name) if name else bucket)
        assert (set(names), set(folders)) == wanted and len(names) == len(wanted[0]), name


def test_the_runs_of_a_bucket_are_listed_by_their_state_alone(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hdna runs s3://...`; what lies below a run, or in a shard set, is not listed."""
    states = {"new": RunStatus(status="done", step=9, steps=9, tokens=72), "grid/low": RunStatus(status="stopped")}
    for name, state in states.items():
        storage.write(storage.join(bucket, name, "recipe.yaml"), b"never read")
        storage.write(storage.join(bucket, name, "state.json"), json.dumps(asdict(state)).encode())
        storage.write(storage.join(bucket, name, "checkpoints", "step-000001", "part"), b"x")
    storage.write(storage.join(bucket, "set", "manifest.json"), b"{}")
    storage.write(storage.join(bucket, "set", "run", "recipe.yaml"), b"")
    listed = heard_levels(monkeypatch)
    found = json.loads(hdna("runs", bucket, "--json"))
    assert {run["run"]: run["status"] for run in found} == {
        f"{bucket}/new": "done",
        f"{bucket}/grid/low": "stopped",
    }
    assert sorted(listed) == [bucket, *(f"{bucket}/{name}" for name in ("grid", "grid/low", "new", "set"))]
    assert hdna("runs", bucket).splitlines()[1].split()[-1] in states


def test_a_large_file_goes_up_in_parts_and_comes_down_in_blocks(bucket: str, tmp_path: Path) -> None:
    data = bytes(range(251)) * (160 << 10)
    assert len(data) > 2 * bucket_module._BLOCK_BYTES
    (tmp_path / "big").write_bytes(data)
    storage.upload(tmp_path / "big", f"{bucket}/big")
    assert storage.object_size(f"{bucket}/big") == len(data)
    blocks = list(storage.read_blocks(f"{bucket}/big"))
    assert len(blocks) > 2 and b"".join(blocks) == data


@pytest.mark.parametrize("size", [3, 9 << 20])
def test_of_two_conditional_writers_the_first_wins(bucket: str, size: int) -> None:
    """Also where the library would send an unconditional object of that size in parts."""
    first, second = b"1" * size, b"2" * size
    assert storage.write_if_absent(f"{bucket}/claim", first)
    assert not storage.write_if_absent(f"{bucket}/claim", second)
    assert not storage.write_if_absent(f"{bucket}/claim", first)
    assert storage.read(f"{bucket}/claim") == first


def line_of(call: Callable[[str], object], url: str) -> str:
    """The one line that a user sees; no secret in it, nor in a traceback that a worker's log would hold."""
    with pytest.raises(InputError) as caught:
        call(url)
    line = str(caught.value)
    assert line.startswith(url) and "\n" not in line and len(line) < 400
    everything = "".join(traceback.format_exception(caught.value))
    for secret in (SECRET, "wrong-secret", "Signature=", "StringToSign"):
        assert secret not in line and f"{secret}'" not in everything and "StringToSign" not in everything
    return line


@pytest.mark.parametrize("call", CALLS)
def test_wrong_secret_is_refused_with_the_places_of_credentials(bucket: str, call: str, server: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use(patch, server, secret="wrong-secret")
        line = line_of(CALLS[call], f"{bucket}/x")
    assert "secret key" in line or "access denied" in line  # an answer to HEAD has no body to tell more
    assert (
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile AWS_PROFILE of ~/.aws, or the machine's role" in line
    )


@pytest.mark.parametrize("call", CALLS)
def test_a_denied_bucket_is_reported(bucket: str, call: str, server: str) -> None:
    storage.write(f"{bucket}/x", b"mine")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, server, key="test:guest", secret="guesting")
        assert "access denied" in line_of(CALLS[call], f"{bucket}/x")
    assert storage.read(f"{bucket}/x") == b"mine"


@pytest.mark.parametrize("call", sorted(set(CALLS) - {"size"}))
def test_a_missing_bucket_is_reported_and_not_taken_for_a_missing_object(bucket: str, call: str) -> None:
    assert "there is no bucket 'not-there'" in line_of(CALLS[call], "s3://not-there/x")


def test_upload_to_a_denied_bucket_names_it(bucket: str, server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, server, key="test:guest", secret="guesting")
        assert "access denied" in line_of(lambda url: storage.upload(tmp_path / "file", url), f"{bucket}/x")
