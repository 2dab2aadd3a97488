"""One real S3 server for all tests of this folder, and a fresh prefix for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.faulty_proxy import FaultyProxy, faulty_proxy
from support.s3 import QUICK, swift_server, use

from hdna.storage import retry


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with swift_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A fresh URL in a bucket that one may write to."""
    use(monkeypatch, server)
    monkeypatch.setattr(retry, "RETRY", QUICK)
    return f"s3://shared/{tmp_path.name}"


@pytest.fixture
def proxy(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The same server behind a network with faults."""
    with faulty_proxy(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy
