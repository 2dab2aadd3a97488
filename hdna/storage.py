"""One way to open a URL: a local path, file://, s3://, gs:// or az://. The door to the object-store library.

Credentials come from each provider's standard chain (environment, AWS profile, instance role), never from us. Every
other scheme, `pipe:` and `http:` among them, is refused: a URL from somebody's manifest cannot run or fetch anything
else. A busy server and a broken connection are tried again with growing pauses (`hdna.retry`); what still fails is an
InputError of one line that names the URL. The network can change bytes unseen: callers check sizes and sha256.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, NotFoundError
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from hdna import retry
from hdna.aws_profile import profile_settings
from hdna.bucket_errors import explained, names_no_bucket
from hdna.errors import InputError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

SCHEMES = ("file", "s3", "gs", "az")
_PART_BYTES = 8 << 20
_PARTS_AT_ONCE = 4
_READ_BY_STORES = ("AWS_", "GOOGLE_", "AZURE_", "HOME")
"""Beginnings of the environment variables on which a store depends."""
_READ_AGAIN = timedelta(minutes=10)
"""How often the keys of a profile are read again: other programs renew short-lived ones in its file."""


def is_local(url: str) -> bool:
    """Whether `url` names a place in this machine's file system."""
    return _scheme(url) == "file"


def local_path(url: str) -> Path:
    """The file-system path of a local URL.

    Raises InputError when `url` is remote.
    """
    if not is_local(url):
        raise InputError(f"{url}: want a local path here")
    return Path(url.removeprefix("file://")).expanduser().absolute()


def join(url: str, *parts: str) -> str:
    """`url` with path parts appended."""
    return "/".join([url.rstrip("/"), *parts])


def read(url: str) -> bytes:
    """The whole object. Raises FileNotFoundError when there is none."""
    store, key = _locate(url)
    with _explained(url):
        return bytes(store.get(key).bytes())


def parts(url: str) -> Iterator[bytes]:
    """The object in pieces of some MiB, so that a large one never sits in memory. Raises FileNotFoundError."""
    store, key = _locate(url)
    with _explained(url):
        for part in store.get(key).stream(min_chunk_size=_PART_BYTES):
            yield bytes(part)


def read_range(url: str, start: int, length: int) -> bytes:
    """`length` bytes from `start`. Raises FileNotFoundError, and InputError when the object does not have so many."""
    store, key = _locate(url)
    with _explained(url):
        for _ in range(retry.RETRY.downloads):
            data = bytes(store.get_range(key, start=start, length=length))
            if len(data) == length:
                return data
    raise InputError(
        f"{url}: gave {len(data)} bytes of the {length} from byte {start}: it is damaged or still changing"
    )


def size(url: str) -> int | None:
    """Bytes of the object, or None when there is none."""
    store, key = _locate(url)
    with _explained(url):
        try:
            return int(store.head(key)["size"])
        except (FileNotFoundError, NotFoundError):
            return None


def write(url: str, data: bytes) -> None:
    """Put the object whole, replacing what was there; a reader sees the old or the new one, never a part."""
    store, key = _locate(url, _PARTS_AT_ONCE * _PART_BYTES)
    with _explained(url):
        store.put(key, data, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)


def write_if_absent(url: str, data: bytes) -> bool:
    """Put the object only if there is none; False when somebody else's already stands there.

    The library would tell a second attempt that the object exists, though the first one's answer was lost and the
    object is ours. So the attempts are made here: after one of unknown outcome, our own bytes count as ours.
    """
    store, key = _locate(url, sending=len(data), retries=0)
    pauses = iter(() if is_local(url) else retry.RETRY.pauses())
    last_start = time.monotonic() + retry.RETRY.total
    tried = False
    with _explained(url):
        while True:
            try:
                store.put(key, data, mode="create")
                return True
            except AlreadyExistsError:
                return tried and read(url) == data
            except GenericError as error:
                pause = next(pauses, None)
                if pause is None or time.monotonic() > last_start or names_no_bucket(str(error)):
                    raise
                time.sleep(pause)
                tried = True


def upload(path: Path, url: str) -> None:
    """Copy a local file to `url`, in parts where it is large."""
    store, key = _locate(url, _PARTS_AT_ONCE * _PART_BYTES)
    with _explained(url):
        store.put(key, path, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)


def download(url: str, path: Path) -> None:
    """Copy an object to a local file, by way of a temporary name beside it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for part in parts(url):
                file.write(part)
        partial.replace(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename is None:
            raise
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def listing(url: str) -> dict[str, int]:
    """Every object below `url`: its path relative to `url`, and its bytes."""
    store, key = _locate(url)
    found: dict[str, int] = {}
    if isinstance(store, LocalStore) and not local_path(url).is_dir():
        return found
    prefix = f"{key}/" if key else ""
    with _explained(url):
        for batch in store.list(prefix=prefix or None):
            for entry in batch:
                found[entry["path"].removeprefix(prefix)] = int(entry["size"])
    return found


def delete(url: str, names: list[str]) -> None:
    """Remove the named objects below `url`; missing ones are no error."""
    for name in names:
        store, key = _locate(join(url, name))
        with _explained(url):
            try:
                store.delete(key)
            except (FileNotFoundError, NotFoundError):
                continue
    if is_local(url):
        _remove_empty_folders(local_path(url))


def object_store(url: str) -> tuple[ObjectStore, str]:
    """The obstore handle and key behind `url`, for libraries (Zarr) that take one."""
    return _locate(url)


def _remove_empty_folders(root: Path) -> None:
    for folder in sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()


def _scheme(url: str) -> str:
    scheme = urlsplit(url).scheme if ":" in url.split("/", 1)[0] else "file"
    if scheme not in SCHEMES:
        raise InputError(f"{url}: scheme {scheme!r} is not supported: use a local path, file://, s3://, gs:// or az://")
    return scheme


def _locate(url: str, sending: int = 0, retries: int | None = None) -> tuple[ObjectStore, str]:
    """The store and key of `url`, patient enough for requests that send that many bytes."""
    scheme = _scheme(url)
    if scheme == "file":
        return _open_local(), str(local_path(url)).lstrip("/")
    parts = urlsplit(url)
    if not parts.netloc:
        raise InputError(f"{url}: names no bucket: want {scheme}://BUCKET/PATH")
    times = retry.RETRY
    settings = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_READ_BY_STORES)))
    store = _open(
        scheme, parts.netloc, times, times.patience(sending), times.retries if retries is None else retries, settings
    )
    return store, parts.path.strip("/")


@lru_cache(maxsize=1)
def _open_local() -> ObjectStore:
    return LocalStore("/", mkdir=True)


@lru_cache(maxsize=64)
def _open(
    scheme: str,
    bucket: str,
    times: retry.Retry,
    patience: float,
    retries: int,
    environment: tuple[tuple[str, str], ...],
) -> ObjectStore:
    """`environment` is what the library reads by itself: another one is another store."""
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=times.connect),
        "read_timeout": timedelta(seconds=patience),
        "timeout": timedelta(hours=12),  # of a whole body, however large; silence is what ends a broken one
    }
    again: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=times.total),
        "backoff": {
            "init_backoff": timedelta(seconds=times.first_pause),
            "max_backoff": timedelta(seconds=times.longest_pause),
            "base": 2,
        },
    }
    with _explained(f"{scheme}://{bucket}"):
        if scheme == "gs":
            return GCSStore(bucket, client_options=client, retry_config=again)
        if scheme == "az":
            return AzureStore(container_name=bucket, client_options=client, retry_config=again)
        return _open_s3(bucket, client, again, dict(environment))


def _open_s3(bucket: str, client: "ClientConfig", again: "RetryConfig", environment: dict[str, str]) -> ObjectStore:
    profile = profile_settings()
    settings: dict[str, Any] = {}
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if not endpoint and (endpoint := profile.get("endpoint_url")):
        settings["endpoint"] = endpoint
    if "region" in profile and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & set(environment):
        settings["region"] = profile["region"]
    if "aws_access_key_id" in profile:
        settings["credential_provider"] = _profile_keys
    client["allow_http"] = (endpoint or "").startswith("http://")
    return S3Store(bucket, client_options=client, retry_config=again, **settings)


def _profile_keys() -> dict[str, Any]:
    profile = profile_settings()
    return {
        "access_key_id": profile["aws_access_key_id"],
        "secret_access_key": profile["aws_secret_access_key"],
        "token": profile.get("aws_session_token"),
        "expires_at": datetime.now(UTC) + _READ_AGAIN,
    }


class _explained:
    """Turns the library's errors into one line that names the URL; a missing object stays a FileNotFoundError.

    The library's own error is not chained: it repeats requests and answers, and a traceback would print them.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError | NotFoundError) and not names_no_bucket(str(error)):
            raise FileNotFoundError(self.url) from None
        if isinstance(error, BaseError | OSError):
            raise InputError(explained(self.url, str(error))) from None
