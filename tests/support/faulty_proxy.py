"""A proxy on loopback that does to an S3 server's answers what networks do, one planned fault for each request."""

import http.client
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from support.s3 import KEY, REGION, SECRET

STALL_S = 30
"""Longer than any test waits; a stalled answer ends when the proxy closes."""


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to `upstream` (http://HOST:PORT).

    `plan(method, fault, times)` sets the fault of that many coming requests of the method, `plan_for(path, fault)` that
    of the next request whose path contains `path`, `plan_share(fault, share)` that of a share of all:

    * the empty string: none, the request is passed on
    * `503`: the server's answer when it is busy; the request is not passed on
    * `reset`: half the body, then the connection is reset
    * `cut`: half the body, then the connection ends, as if that were all
    * `short`: half the body, and a Content-Length that agrees with it
    * `flip`: one bit of the body is another
    * `stall`: half the body, then nothing
    * `lost`: the request is done, but the connection is reset before the answer
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[str] = []
        """`METHOD /path` of every request, in order."""
        self.faults = 0
        """How many of them had one."""
        self.ignores_conditions = False
        """Whether If-None-Match has no effect, as with servers that do not know it."""
        self.closing = threading.Event()
        self._faults: dict[str, list[str]] = {}
        self._faults_of_paths: dict[str, str] = {}
        self._share, self._fault_of_share, self._rng = 0.0, "", random.Random()
        self._lock = threading.Lock()

    def plan(self, method: str, fault: str, times: int = 1) -> None:
        self._faults.setdefault(method, []).extend([fault] * times)

    def plan_for(self, path: str, fault: str) -> None:
        self._faults_of_paths[path] = fault

    def plan_share(self, fault: str, share: float, seed: int = 0) -> None:
        """Plan the fault for so large a share of all coming requests, drawn at random."""
        self._share, self._fault_of_share, self._rng = share, fault, random.Random(seed)

    def forget(self) -> None:
        """Pass everything on from now on."""
        with self._lock:
            self._faults.clear()
            self._share = 0.0

    def fault_of(self, request: str) -> str:
        """The fault planned for this request; empty if there is none."""
        with self._lock:
            self.requests.append(request)
            fault = self._planned(request)
            self.faults += bool(fault)
            return fault

    def _planned(self, request: str) -> str:
        for path in [path for path in self._faults_of_paths if path in request]:
            return self._faults_of_paths.pop(path)
        if self._rng.random() < self._share:
            return self._fault_of_share
        planned = self._faults.get(request.split()[0], [])
        return planned.pop(0) if planned else ""

    def count(self, method: str) -> int:
        return sum(request.startswith(f"{method} ") for request in self.requests)


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A running proxy in front of `upstream`."""
    proxy = FaultyProxy(upstream)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()


@contextmanager
def faulty_network() -> Iterator[FaultyProxy]:
    """The same between everybody and the server that the environment leads to."""
    with faulty_proxy(os.environ["AWS_ENDPOINT_URL"]) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def log_message(self, *args: object) -> None:
        """Keep the tests' terminal clean."""

    def handle_any(self) -> None:
        fault = self.server.fault_of(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "503":
            self.answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        if self.server.ignores_conditions and "If-None-Match" in self.headers:
            self.make_room()
        status, headers, data = self.passed_on(body)
        if fault == "lost":
            self.reset()
        elif fault in ("reset", "cut", "stall"):
            self.answer(status, headers, data[: len(data) // 2], claimed=len(data))
            if fault == "stall":
                self.server.closing.wait(STALL_S)
            elif fault == "reset":
                self.reset()
            self.close_connection = True
        elif fault == "short":
            self.answer(status, headers, data[: len(data) // 2])
        elif fault == "flip":
            middle = len(data) // 2
            self.answer(status, headers, data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :])
        else:
            self.answer(status, headers, data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        response = upstream.getresponse()
        data = response.read()
        headers = dict(response.getheaders())
        upstream.close()
        return response.status, headers, data

    def make_room(self) -> None:
        """Remove the object: the condition then holds. It cannot be left out, because the request is signed."""
        import boto3

        _, bucket, key = unquote(urlsplit(self.path).path).split("/", 2)
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
        client = boto3.client("s3", endpoint_url=f"http://{self.server.upstream}", **keys)
        client.delete_object(Bucket=bucket, Key=key)

    def answer(self, status: int, headers: dict[str, str], data: bytes, claimed: int | None = None) -> None:
        self.send_response_only(status)
        length = len(data) if claimed is None else claimed
        for name, value in headers.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = int(value)
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def reset(self) -> None:
        time.sleep(0.05)  # what was sent first should arrive first
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
