"""One real S3 server for all tests of this folder, and a fresh prefix for each."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@pytest.fixture
def home(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home directory with an empty .aws, no keys in the environment, and no instance role to ask for."""
    (tmp_path / ".aws").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    return tmp_path


@pytest.fixture
def answering() -> Iterator[Callable[[int, bytes], str]]:
    """Starts a web server with one answer to everything; HEAD gets no body, as ever. Returns its endpoint."""
    with ExitStack() as servers:

        def start(status: int, body: bytes) -> str:
            class Handler(BaseHTTPRequestHandler):
                def handle_any(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body if self.command != "HEAD" else b"")

                do_GET = do_HEAD = do_PUT = do_POST = handle_any

                def log_message(self, *args: object) -> None:
                    """Keep the tests' terminal clean."""

            server = servers.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            servers.callback(thread.join)
            servers.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start
