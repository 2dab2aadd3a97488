"""What tests with buckets share: a real S3 server on loopback, its environment, and short waits."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hdna.storage.retry import Retry

SERVER = Path(__file__).with_name("swift_server.py")
SECRET = "testing"
QUICK = Retry(retries=5, first_pause=0.05, longest_pause=0.2, total=60, connect=5, silence=2)
"""The same behaviour as outside the tests, sooner."""


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
        keys = {"aws_access_key_id": "test:tester", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="shared")
        try:
            yield endpoint
        finally:
            process.stdin.close()
            process.wait(20)
            process.stdout.close()


def environment(endpoint: str, key: str = "test:tester", secret: str = SECRET) -> dict[str, str]:
    """How a user tells of that server and of credentials."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
    }


def use(patch: pytest.MonkeyPatch, endpoint: str, key: str = "test:tester", secret: str = SECRET) -> None:
    """Set that environment, without whatever the machine's own holds."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
    for name, value in environment(endpoint, key, secret).items():
        patch.setenv(name, value)
