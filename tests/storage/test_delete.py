"""Deleting many objects: few requests, none left behind, and one line where a store refuses."""

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
from support.faulty_proxy import FaultyProxy

from hdna import storage
from hdna.errors import InputError

NAMES = ["a", "deep/b", "c d+e%f", "never-there", "g"]
THERE = [name for name in NAMES if name != "never-there"]


@pytest.fixture
def full(bucket: str) -> str:
    for name in [*THERE, "stays"]:
        storage.write(f"{bucket}/{name}", b"x")
    return bucket


def test_many_objects_are_one_request(full: str, proxy: FaultyProxy) -> None:
    storage.delete(full, NAMES)
    assert [request.split()[0] for request in proxy.requests] == ["POST"]  # DeleteObjects
    assert list(storage.list_objects(full)) == ["stays"]


def test_no_objects_are_no_request(full: str, proxy: FaultyProxy) -> None:
    storage.delete(full, [])
    assert proxy.requests == []


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "lost"])
def test_deleting_survives_transient_faults(fault: str, full: str, proxy: FaultyProxy) -> None:
    proxy.plan("POST", fault, 2)
    storage.delete(full, NAMES)
    assert proxy.count("POST") == 3
    assert list(storage.list_objects(full)) == ["stays"]


def test_a_refusal_of_one_object_among_many_is_one_line(
    bucket: str, answering: Callable[[int, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers 200, with an error in the body for each object that it has kept."""
    folder = bucket.removeprefix("s3://shared/")
    body = f"""<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Deleted><Key>{folder}/a</Key></Deleted>
        <Error><Key>{folder}/g</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error></DeleteResult>"""
    monkeypatch.setenv("AWS_ENDPOINT_URL", answering(200, body.encode()))
    with pytest.raises(InputError, match=f"^{bucket}: access denied") as caught:
        storage.delete(bucket, ["a", "g"])
    assert "\n" not in str(caught.value)


class Azure(ThreadingHTTPServer):
    """Deletes blobs in batches as Azure does: 202 for a batch, and within it 404 for each blob that is not there.

    `leaves_rest`: as it may, it stops at the first that is not there.
    """

    daemon_threads = True

    def __init__(self, blobs: set[str], leaves_rest: bool) -> None:
        super().__init__(("127.0.0.1", 0), _AzureHandler)
        self.blobs, self.leaves_rest, self.batches = blobs, leaves_rest, 0

    def batch(self, keys: list[str]) -> Iterator[bytes]:
        self.batches += 1
        missing = False
        for number, key in enumerate(keys):
            missing = missing or key not in self.blobs
            head = b"Content-Type: application/http\r\nContent-ID: %d\r\n\r\nHTTP/1.1 " % number
            if key in self.blobs and not (missing and self.leaves_rest):
                self.blobs.discard(key)
                yield head + b"202 Accepted\r\nx-ms-version: 2018-11-09\r\n\r\n"
            else:
                yield head + b"404 Not Found\r\nx-ms-error-code: BlobNotFound\r\n\r\n"


class _AzureHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Azure

    def log_message(self, *args: object) -> None:
        """Keep the tests' terminal clean."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        keys = [unquote(path.decode()) for path in re.findall(rb"DELETE /account/[a-z]+/(\S+) HTTP", asked)]
        answer = b"".join(b"--end\r\n" + part for part in self.server.batch(keys)) + b"--end--\r\n"
        self.send_response(202)
        self.send_header("Content-Type", "multipart/mixed; boundary=end")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.mark.parametrize(("container", "leaves_rest"), [("thorough", False), ("hasty", True)])
def test_azure_deletes_in_a_batch_and_a_missing_blob_keeps_no_other(
    container: str, leaves_rest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Azure({f"run/{name}" for name in THERE}, leaves_rest) as azure:
        threading.Thread(target=azure.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
        monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", f"http://127.0.0.1:{azure.server_address[1]}")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        storage.delete(f"az://{container}/run", THERE[:2])
        assert (azure.blobs, azure.batches) == ({f"run/{name}" for name in THERE[2:]}, 1)
        storage.delete(f"az://{container}/run", ["never-there", *THERE])
        assert azure.blobs == set()
        azure.shutdown()
