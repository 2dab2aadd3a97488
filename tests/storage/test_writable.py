"""A place is asked whether it takes files before work of hours ends there; asking leaves nothing."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.faulty_proxy import FaultyProxy

from hdna import storage
from hdna.errors import InputError


def test_a_folder_that_could_be_made_is_not_made(tmp_path: Path) -> None:
    storage.require_writable(str(tmp_path))
    storage.require_writable(str(tmp_path / "a/b"))
    assert not list(tmp_path.iterdir())


def test_a_bucket_keeps_nothing(bucket: str, proxy: FaultyProxy) -> None:
    storage.require_writable(bucket)
    assert proxy.count("PUT") == 1 and storage.list_objects(bucket) == {}


@pytest.mark.parametrize("below", ["", "/x", "/x/y"])
def test_a_file_is_no_folder(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = f"{tmp_path}/file{below}"
    with pytest.raises(InputError, match=f"^{place}: Not a directory: a part of the path is a file"):
        storage.require_writable(place)


def test_a_link_to_nothing_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="Not a directory"):
        storage.require_writable(f"{tmp_path}/link/x")


def test_a_bucket_that_refuses_writes(
    bucket: str, answering: Callable[[int, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", answering(403, b"<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(InputError, match=f"^{bucket}") as caught:
        storage.require_writable(bucket)
    assert "\n" not in str(caught.value)


def test_a_read_only_file_system(tmp_path: Path) -> None:
    """Root, as in CI, passes every permission, but not this."""
    command = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(tmp_path)]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    try:
        with pytest.raises(InputError, match=f"^{tmp_path}/new: Read-only file system: choose a place"):
            storage.require_writable(f"{tmp_path}/new")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
