"""Opens a URL's object store, with the provider's own credentials and our retry policy.

Credentials come from each provider's standard chain (environment, AWS profile, instance role), never from us. Every
scheme not in SCHEMES is refused, including `pipe:` and `http:`, so a URL from somebody else's manifest cannot run or
fetch anything.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from hdna.errors import InputError
from hdna.storage import retry
from hdna.storage.aws_profile import needs_boto3, profile_name, profile_settings
from hdna.storage.bucket_errors import one_line_errors

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Credential

SCHEMES = ("file", "s3", "gs", "az")
_STORE_VARIABLES = ("AWS_", "GOOGLE_", "AZURE_", "HOME")
"""Prefixes of environment variables that a store reads itself."""
_PROFILE_LIFETIME = timedelta(minutes=10)
"""How long a profile's keys are trusted: other programs renew short-lived keys. The library reads them again when five
minutes of it are left."""


def is_local(url: str) -> bool:
    """Whether `url` is a path in this machine's file system."""
    return _scheme(url) == "file"


def local_path(url: str) -> Path:
    """The file-system path of a local URL.

    Raises InputError when `url` is remote, or a file URL that names another machine or no path.
    """
    if not is_local(url):
        raise InputError(f"{url}: is in a bucket: give a local path here")
    path = url.removeprefix("file://")
    if url.lower().startswith("file:") and not path.startswith("/"):
        raise InputError(f"{url}: not a path on this machine: give a plain path, or file:///PATH from the root")
    return Path(path).expanduser().absolute()


def locate(url: str, request_bytes: int = 0, retries: int | None = None) -> tuple[ObjectStore, str]:
    """The store and key of the remote `url`, with timeouts long enough for requests that send `request_bytes`.

    `retries` overrides how often the library retries a failed request.
    """
    scheme = _scheme(url)
    try:
        address = urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url}: not a URL ({error}): want {scheme}://BUCKET/PATH") from None
    if not address.netloc:
        raise InputError(f"{url}: names no bucket: want {scheme}://BUCKET/PATH")
    policy = retry.RETRY
    settings = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_STORE_VARIABLES)))
    max_retries = policy.retries if retries is None else retries
    store = _open(scheme, address.netloc, policy, policy.patience(request_bytes), max_retries, settings)
    return store, address.path.strip("/")


def _scheme(url: str) -> str:
    if not url or "\0" in url:
        raise InputError("the path is empty, or holds a NUL character: give a path or a URL")
    scheme = url.partition(":")[0].lower() if ":" in url.split("/", 1)[0] else "file"
    if "://" in url and "@" in url.split("/")[2]:
        raise InputError(
            f"{url}: a URL with a user name or a password is refused, because recipes and logs keep URLs: credentials "
            f"come from the environment or from the provider's own files"
        )
    if scheme not in SCHEMES:
        raise InputError(f"{url}: scheme {scheme!r} is not supported: use a local path, file://, s3://, gs:// or az://")
    return scheme


@lru_cache(maxsize=64)
def _open(
    scheme: str,
    bucket: str,
    policy: retry.Retry,
    patience: float,
    retries: int,
    environment: tuple[tuple[str, str], ...],
) -> ObjectStore:
    """`environment` is what the library reads itself; when it changes, a new store is opened."""
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=policy.connect),
        "read_timeout": timedelta(seconds=patience),
        "timeout": timedelta(hours=12),  # for a body of any size; a broken one ends by silence
    }
    retrying: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=policy.total),
        "backoff": {
            "init_backoff": timedelta(seconds=policy.first_pause),
            "max_backoff": timedelta(seconds=policy.longest_pause),
            "base": 2,
        },
    }
    with one_line_errors(f"{scheme}://{bucket}"):
        if scheme == "gs":
            return GCSStore(bucket, client_options=client, retry_config=retrying)
        if scheme == "az":
            return AzureStore(container_name=bucket, client_options=client, retry_config=retrying)
        return _open_s3(bucket, client, retrying, dict(environment))


def _open_s3(bucket: str, client: "ClientConfig", retrying: "RetryConfig", environment: dict[str, str]) -> ObjectStore:
    profile = profile_settings()
    settings: dict[str, Any] = {}
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if not endpoint and (endpoint := profile.get("endpoint_url")):
        settings["endpoint"] = endpoint
    if "region" in profile and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & set(environment):
        settings["region"] = profile["region"]
    if "aws_access_key_id" in profile:
        settings["credential_provider"] = _profile_keys
    elif needs_boto3(profile):
        settings["credential_provider"] = _session_keys(profile, environment)
    client["allow_http"] = (endpoint or "").startswith("http://")
    return S3Store(bucket, client_options=client, retry_config=retrying, **settings)


def _profile_keys() -> dict[str, Any]:
    profile = profile_settings()
    return {
        "access_key_id": profile["aws_access_key_id"],
        "secret_access_key": profile["aws_secret_access_key"],
        "token": profile.get("aws_session_token"),
        "expires_at": datetime.now(UTC) + _PROFILE_LIFETIME,
    }


def _session_keys(profile: dict[str, str], environment: dict[str, str]) -> "Callable[[], S3Credential]":
    try:
        from hdna.storage.aws_session import session_keys
    except ImportError:
        raise InputError(
            f"AWS profile {profile_name()!r}: single sign-on, roles and commands need boto3: pip install 'hdna[aws]', "
            f"on every node"
        ) from None
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.get("region")
    return session_keys(profile_name(), region or "us-east-1", tuple(environment.items()))
