"""What is wrong with a bucket is one line before Ray starts, from each of the calls that come before it."""

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from support.s3 import KEY, REGION, SECRET, use

from hdna.config import load_recipe
from hdna.errors import InputError
from hdna.run.lease import last_lease
from hdna.run.ownership import refuse_taken
from hdna.train.preflight import preflight
from hdna_cluster.doctor import examine

GUEST = {"key": "test:guest", "secret": "guesting"}
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
PAGE = b"<!DOCTYPE html><title>Welcome</title>"


@pytest.fixture
def said(tiny_recipe: Path) -> Callable[[str], dict[str, str]]:
    """The line of each call, for a run and its shard set in a bucket."""

    def lines(bucket: str) -> dict[str, str]:
        config = load_recipe(str(tiny_recipe), [f"run.url={bucket}/run", f"data.shards=[{bucket}/shards]"])
        calls = {
            "shards": lambda: preflight(config),
            "run": lambda: refuse_taken(config),
            "lease": lambda: last_lease(config.run.url, print),
        }
        return {name: line_of(call, bucket) for name, call in calls.items()}

    return lines


def line_of(call: Callable[[], object], url: str) -> str:
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert line.startswith(f"{url}/") and "\n" not in line and SECRET not in line
    return line.partition(": ")[2]


Said = Callable[[str], dict[str, str]]


def test_no_permission(said: Said, bucket: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, server, **GUEST)
    assert all(line.startswith("access denied: these credentials may not do this") for line in said(bucket).values())


def test_reading_is_allowed_and_writing_is_not(bucket: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found when the run's last lease is looked for: before Ray starts."""
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name=REGION
    )
    client.create_bucket(Bucket="readable", ACL="public-read")
    use(monkeypatch, server, **GUEST)
    run = "s3://readable/run"
    assert line_of(lambda: last_lease(run, print), run).startswith("access denied: these credentials may not do this")


def test_a_wrong_region_names_the_right_one(said: Said, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    lines = said(bucket)
    assert lines["shards"] == lines["lease"] == "wrong region: set AWS_REGION to us-east-1"
    assert lines["run"] == (  # asked by HEAD, whose answer has no body
        "refused without a reason (wrong AWS_REGION, expired keys, or a bucket name that is not valid): "
        "'hdna doctor s3://shared' asks for it"
    )


def test_the_doctor_knows_the_reason(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert any("wrong region: set AWS_REGION to us-east-1" in found.what for found in examine("s3://shared"))


def test_a_redirect_to_another_region(
    said: Said, bucket: str, answering: Callable[[int, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's answer where the bucket's name leads to another region's server: 301 without a Location."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", answering(301, b"<Error><Code>PermanentRedirect</Code></Error>"))
    assert set(said(bucket).values()) == {"wrong region: set AWS_REGION to that of the bucket"}


def test_expired_credentials(
    said: Said, bucket: str, answering: Callable[[int, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Amazon answers: no test server's credentials expire."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", answering(400, EXPIRED))
    lines = said(bucket)
    assert lines.pop("run").startswith("refused without a reason (wrong AWS_REGION, expired keys, or")
    assert all(line.startswith("the server says the credentials have expired: ") for line in lines.values())


def test_a_misspelt_bucket(said: Said, bucket: str) -> None:
    assert set(said("s3://shard").values()) == {
        "there is no bucket 'shard': create it, or correct the name or the endpoint"
    }


def test_a_name_that_no_bucket_can_have(said: Said, bucket: str) -> None:
    lines = said("s3://Sh_ared")
    assert lines.pop("run").endswith("'hdna doctor s3://Sh_ared' asks for it")
    assert set(lines.values()) == {"'Sh_ared' is not a valid bucket name: correct it"}


@pytest.mark.parametrize(("status", "body"), [(404, PAGE), (405, PAGE), (501, b"")])
def test_an_endpoint_of_something_else(
    status: int,
    body: bytes,
    said: Said,
    bucket: str,
    answering: Callable[[int, bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", answering(status, body))
    assert set(said(bucket).values()) == {"what answers is no object store: check the endpoint"}


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://no-such-host.invalid", "https"])
def test_an_endpoint_without_a_server(
    endpoint: str, said: Said, bucket: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a server without TLS is asked for it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.replace("http:", "https:") if endpoint == "https" else endpoint)
    assert all(line.endswith("the connection breaks or stalls; check the endpoint") for line in said(bucket).values())
