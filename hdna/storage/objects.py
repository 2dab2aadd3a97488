"""One way to open a URL: a local path, file://, s3://, gs:// or az://.

What fails raises a one-line InputError naming the URL. Disks and networks corrupt bytes silently: callers check sizes
and sha256.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hdna.errors import InputError
from hdna.storage import bucket, local
from hdna.storage.os_errors import explain, os_errors_explained
from hdna.storage.stores import is_local, local_path


def join(url: str, *parts: str) -> str:
    """`url` with path parts appended."""
    if not url:
        raise InputError("the path is empty: give a path or a URL")
    if url.rstrip("/").endswith(":"):
        raise InputError(f"{url}: names no place: give a path, or a URL as in s3://BUCKET/PATH")
    return "/".join([url.rstrip("/"), *parts])


def read(url: str) -> bytes:
    """Read the whole object. Raises FileNotFoundError when there is none."""
    return b"".join(read_blocks(url)) if is_local(url) else bucket.read(url)


def read_blocks(url: str) -> Iterator[bytes]:
    """Read the object in blocks of some MiB, so that memory stays bounded. Raises FileNotFoundError."""
    if not is_local(url):
        yield from bucket.read_blocks(url)
        return
    with os_errors_explained(url):
        yield from local.read_blocks(local_path(url))


def exists(url: str) -> bool:
    """Whether there is an object at `url`."""
    return object_size(url) is not None


def object_size(url: str) -> int | None:
    """Bytes of the object, or None when there is none."""
    if not is_local(url):
        return bucket.size(url)
    with os_errors_explained(url):
        return local.size(local_path(url))


def write(url: str, data: bytes) -> None:
    """Put the whole object, replacing any earlier one; a reader sees the old or the new one, never a part."""
    if not is_local(url):
        bucket.write(url, data)
        return
    with _write_errors_explained(url):
        local.replace(local_path(url), [data])


def write_if_absent(url: str, data: bytes) -> bool:
    """Put the object only if there is none; False when somebody else's already exists."""
    if not is_local(url):
        return bucket.write_if_absent(url, data)
    with _write_errors_explained(url):
        return local.create(local_path(url), [data])


def require_writable(url: str) -> None:
    """Raise InputError when nothing can be written below a folder or prefix; asked before long work that ends there."""
    if not is_local(url):
        bucket.require_writable(url)
        return
    with _write_errors_explained(url):
        local.require_writable(local_path(url))


def require_conditional_put(url: str) -> None:
    """Raise InputError when the store below `url` would let two calls of `write_if_absent` both succeed."""
    if not is_local(url):
        bucket.require_conditional_put(url)


def is_probe(name: str) -> bool:
    """Whether an object's name says that a question about its place was interrupted and left it there."""
    return bucket.is_probe(name)


def upload(path: Path, url: str) -> None:
    """Copy a local file to `url`, in blocks if large."""
    if not is_local(url):
        bucket.write(url, path)
        return
    with _write_errors_explained(url):
        local.replace(local_path(url), local.read_blocks(path))


def list_objects(url: str) -> dict[str, int]:
    """Every object below `url`: its path relative to `url`, and its size in bytes."""
    if not is_local(url):
        return bucket.list_objects(url)
    with os_errors_explained(url):
        return local.list_files(local_path(url))


def list_level(url: str) -> tuple[list[str], list[str]]:
    """Names of the objects and of the folders right below `url`, unsorted; of a bucket, one request for 1,000 names.

    Raises InputError when a local folder is missing or cannot be read; of a bucket, nothing there is no error.
    """
    if not is_local(url):
        return bucket.list_level(url)
    with _write_errors_explained(url):
        return local.list_level(local_path(url))


def delete(url: str, names: list[str]) -> None:
    """Remove the named objects below `url`, durably; missing ones are no error."""
    if not is_local(url):
        bucket.delete(url, names)
        return
    with _write_errors_explained(url):
        local.delete(local_path(url), names)


@contextmanager
def _write_errors_explained(url: str) -> Iterator[None]:
    """A missing folder is an error to a writer, not an answer."""
    try:
        yield
    except OSError as error:
        raise InputError(explain(url, error)) from None
