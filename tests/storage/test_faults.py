"""A network with faults: transient ones cost time, lasting ones are one line after a bounded time."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.faulty_proxy import FaultyProxy

from hdna import storage
from hdna.errors import InputError
from hdna.storage import bucket as bucket_module
from hdna.storage import retry

BOUND_S = 30
"""With the short waits of these tests; far above what a lasting fault takes."""


@pytest.fixture
def data(bucket: str) -> bytes:
    """Three MiB under `bucket`/x."""
    data = os.urandom(3 << 20)
    storage.write(f"{bucket}/x", data)
    return data


def blocks(url: str) -> bytes:
    return b"".join(storage.read_blocks(url))


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "stall", "lost"])
def test_reading_survives_transient_faults(fault: str, bucket: str, data: bytes, proxy: FaultyProxy) -> None:
    times = 1 if fault == "stall" else 2
    for read in (storage.read, blocks):
        proxy.plan("GET", fault, times)
        before = proxy.count("GET")
        assert read(f"{bucket}/x") == data
        assert proxy.count("GET") - before > times


@pytest.mark.parametrize("fault", ["503", "lost"])
def test_writing_survives_transient_faults(
    fault: str, bucket: str, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_BLOCK_BYTES", 5 << 20)
    data = os.urandom(12 << 20)
    (tmp_path / "file").write_bytes(data)
    for method in ("PUT", "POST"):
        proxy.plan(method, fault)
    storage.upload(tmp_path / "file", f"{bucket}/parts")
    assert storage.read(f"{bucket}/parts") == data
    proxy.plan("PUT", fault, 2)
    storage.write(f"{bucket}/whole", data[:1000])
    assert storage.read(f"{bucket}/whole") == data[:1000]


@pytest.mark.parametrize("fault", ["503", "lost"])
def test_a_conditional_write_whose_answer_was_lost_is_still_ours(fault: str, bucket: str, proxy: FaultyProxy) -> None:
    proxy.plan("PUT", fault, 2)
    assert storage.write_if_absent(f"{bucket}/claim", b"mine")
    assert storage.read(f"{bucket}/claim") == b"mine"
    proxy.plan("PUT", fault)
    assert not storage.write_if_absent(f"{bucket}/claim", b"other")
    assert storage.read(f"{bucket}/claim") == b"mine"


@pytest.mark.parametrize("read", [storage.read, blocks])
@pytest.mark.parametrize("fault", ["503", "reset", "stall"])
@pytest.mark.usefixtures("data")
def test_a_lasting_fault_is_one_line_in_a_bounded_time(
    fault: str, read: Callable[[str], bytes], bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "RETRY", replace(retry.RETRY, retries=1))
    proxy.plan("GET", fault, 100)
    started = time.monotonic()
    with pytest.raises(InputError, match=f"{bucket}/x: .*after several attempts") as caught:
        read(f"{bucket}/x")
    assert time.monotonic() - started < BOUND_S
    assert "\n" not in str(caught.value)
    assert proxy.count("GET") == retry.RETRY.retries + 1


@pytest.mark.parametrize("write", [storage.write, storage.write_if_absent])
def test_a_lasting_fault_of_writes_is_one_line(
    write: Callable[[str, bytes], object], bucket: str, proxy: FaultyProxy
) -> None:
    proxy.plan("PUT", "503", 100)
    with pytest.raises(InputError, match=f"{bucket}/x: still status code: 503 .*after several attempts"):
        write(f"{bucket}/x", b"1")
    assert proxy.count("PUT") == retry.RETRY.retries + 1


def test_an_unreachable_server_is_one_line_with_a_hint_at_the_endpoint(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
    started = time.monotonic()
    with pytest.raises(InputError, match=f"{bucket}/x: .*check the endpoint"):
        storage.read(f"{bucket}/x")
    assert time.monotonic() - started < BOUND_S


def test_waiting_grows_with_what_is_sent_and_pauses_grow_to_their_bound() -> None:
    times = retry.Retry()
    assert times.patience(0) == times.patience(1 << 20) == times.silence
    assert times.patience(1 << 30) * times.slowest >= 1 << 30
    pauses = list(times.pauses())
    assert len(pauses) == times.retries
    assert 0.1 <= pauses[0] <= 0.2 and max(pauses) <= times.longest_pause and sum(pauses) < times.total
