"""One way to open a URL: a local path, file://, s3://, gs:// or az://. The door to the object-store library.

Credentials come from each provider's standard chain (environment, instance role), never from us. Every other scheme,
`pipe:` and `http:` among them, is refused: a URL from somebody's manifest cannot run or fetch anything else.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from hdna.errors import InputError

SCHEMES = ("file", "s3", "gs", "az")
_PART_BYTES = 16 << 20


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
    """`length` bytes from `start`."""
    store, key = _locate(url)
    with _explained(url):
        return bytes(store.get_range(key, start=start, length=length))


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
    store, key = _locate(url)
    with _explained(url):
        store.put(key, data)


def write_if_absent(url: str, data: bytes) -> bool:
    """Put the object only if there is none; False when somebody else's already stands there."""
    store, key = _locate(url)
    with _explained(url):
        try:
            store.put(key, data, mode="create")
        except AlreadyExistsError:
            return False
    return True


def upload(path: Path, url: str) -> None:
    """Copy a local file to `url`, in parts where it is large."""
    store, key = _locate(url)
    with _explained(url):
        store.put(key, path, chunk_size=_PART_BYTES)


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


def _locate(url: str) -> tuple[ObjectStore, str]:
    scheme = _scheme(url)
    if scheme == "file":
        return _open(scheme, ""), str(local_path(url)).lstrip("/")
    parts = urlsplit(url)
    if not parts.netloc:
        raise InputError(f"{url}: names no bucket: want {scheme}://BUCKET/PATH")
    return _open(scheme, parts.netloc), parts.path.strip("/")


@lru_cache(maxsize=64)
def _open(scheme: str, bucket: str) -> ObjectStore:
    if scheme == "file":
        return LocalStore("/", mkdir=True)
    if scheme == "gs":
        return GCSStore(bucket)
    if scheme == "az":
        return AzureStore(container_name=bucket)
    allow_http = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return S3Store(bucket, client_options={"allow_http": allow_http})


class _explained:
    """Turns the library's errors into one line that names the URL; a missing object stays a FileNotFoundError."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError | NotFoundError):
            raise FileNotFoundError(self.url) from error
        if isinstance(error, BaseError | OSError):
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise InputError(f"{self.url}: {lines[0] if lines else type(error).__name__}") from error
