"""What tests with buckets share: S3 servers on loopback, the environment that leads to them, and short waits."""

import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hdna.storage.retry import Retry

SERVER = Path(__file__).with_name("swift_server.py")
KEY, SECRET, REGION = "test:tester", "testing", "us-east-1"
QUICK = Retry(retries=5, first_pause=0.05, longest_pause=0.2, total=60, connect=5, silence=2)
"""Retries as outside the tests, but sooner."""


@contextmanager
def swift_server() -> Iterator[str]:
    """The endpoint of an OpenStack Swift that serves S3, with a bucket `shared`; see swift_server.py."""
    pytest.importorskip(
        "swift", reason="the S3 server of the tests, OpenStack Swift, is not installed: pip install -e .[dev]"
    )
    import boto3

    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SERVER), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        port = process.stdout.readline().strip()
        assert port, "Swift did not start"
        endpoint = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
        boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="shared")
        try:
            yield endpoint
        finally:
            process.stdin.close()
            process.wait(20)
            process.stdout.close()


@contextmanager
def moto_bucket() -> Iterator[str]:
    """An empty bucket of moto's server in this process, which checks no credentials; the environment leads to it."""
    pytest.importorskip("moto.server", reason="the mock S3 server, moto, is not installed: pip install -e .[dev]")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            use(patch, endpoint, key="made-up-key", secret="made-up-secret")
            # A name of its own: all of moto's servers in a process share their content.
            name = f"mock-{secrets.token_hex(4)}"
            boto3.client("s3", endpoint_url=endpoint, region_name=REGION).create_bucket(Bucket=name)
            yield f"s3://{name}"
    finally:
        server.stop()


def use(patch: pytest.MonkeyPatch, endpoint: str, key: str = KEY, secret: str = SECRET) -> None:
    """Set a server and credentials in the environment, as a user does, and unset the machine's own."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
    patch.setenv("AWS_ENDPOINT_URL", endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", key)
    patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    patch.setenv("AWS_REGION", REGION)
