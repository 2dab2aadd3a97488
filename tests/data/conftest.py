"""A bucket behind a network with faults, for what reads shards from one."""

from collections.abc import Iterator

import pytest
from support.faulty_proxy import FaultyProxy, faulty_proxy
from support.s3 import QUICK, swift_server, use

from hdna.storage import retry


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with swift_server() as endpoint:
        yield endpoint


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The bucket behind a proxy that counts requests and injects faults."""
    monkeypatch.setattr(retry, "RETRY", QUICK)
    with faulty_proxy(server) as proxy:
        use(monkeypatch, proxy.url)
        yield proxy
