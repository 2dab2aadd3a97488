"""One way to open a URL: a local path, file://, s3://, gs:// or az://.

Busy servers and broken connections are retried with growing pauses (`hdna.storage.retry`); what still fails raises a
one-line InputError naming the URL. Networks corrupt bytes silently: callers check sizes and sha256.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from obstore.exceptions import AlreadyExistsError, GenericError, NotFoundError
from obstore.store import LocalStore

from hdna.errors import InputError
from hdna.storage import retry
from hdna.storage.bucket_errors import names_no_bucket, one_line_errors
from hdna.storage.stores import is_local, local_path, locate

_BLOCK_BYTES = 8 << 20
_CONCURRENT_BLOCKS = 4


def join(url: str, *parts: str) -> str:
    """`url` with path parts appended."""
    return "/".join([url.rstrip("/"), *parts])


def read(url: str) -> bytes:
    """Read the whole object. Raises FileNotFoundError when there is none."""
    store, key = locate(url)
    with one_line_errors(url):
        return bytes(store.get(key).bytes())


def read_blocks(url: str) -> Iterator[bytes]:
    """Read the object in blocks of some MiB, so that memory stays bounded. Raises FileNotFoundError."""
    store, key = locate(url)
    with one_line_errors(url):
        for block in store.get(key).stream(min_chunk_size=_BLOCK_BYTES):
            yield bytes(block)


def read_range(url: str, start: int, length: int) -> bytes:
    """Read `length` bytes from `start`. Raises FileNotFoundError, or InputError when the object is too short."""
    store, key = locate(url)
    with one_line_errors(url):
        for _ in range(retry.RETRY.downloads):
            data = bytes(store.get_range(key, start=start, length=length))
            if len(data) == length:
                return data
    raise InputError(
        f"{url}: returned {len(data)} of {length} bytes from byte {start}: it is damaged or still changing"
    )


def exists(url: str) -> bool:
    """Whether there is an object at `url`."""
    return object_size(url) is not None


def object_size(url: str) -> int | None:
    """Size of the object in bytes, or None when there is none."""
    store, key = locate(url)
    with one_line_errors(url):
        try:
            return int(store.head(key)["size"])
        except (FileNotFoundError, NotFoundError):
            return None


def write(url: str, data: bytes) -> None:
    """Put the whole object, replacing any earlier one; a reader sees the old or the new one, never a mix."""
    store, key = locate(url, _CONCURRENT_BLOCKS * _BLOCK_BYTES)
    with one_line_errors(url):
        store.put(key, data, chunk_size=_BLOCK_BYTES, max_concurrency=_CONCURRENT_BLOCKS)


def write_if_absent(url: str, data: bytes) -> bool:
    """Put the object only if absent; False when somebody else's already exists.

    If the response to a first attempt is lost, the library's retry reports our own object as existing. So retries are
    made here: after an attempt of unknown outcome, an object with our bytes counts as ours.
    """
    store, key = locate(url, request_bytes=len(data), retries=0)
    pauses = iter(() if is_local(url) else retry.RETRY.pauses())
    last_start = time.monotonic() + retry.RETRY.total
    outcome_unknown = False
    with one_line_errors(url):
        while True:
            try:
                store.put(key, data, mode="create")
                return True
            except AlreadyExistsError:
                return outcome_unknown and read(url) == data
            except GenericError as error:
                pause = next(pauses, None)
                if pause is None or time.monotonic() > last_start or names_no_bucket(str(error)):
                    raise
                time.sleep(pause)
                outcome_unknown = True


def upload(path: Path, url: str) -> None:
    """Copy a local file to `url`, in blocks if large."""
    store, key = locate(url, _CONCURRENT_BLOCKS * _BLOCK_BYTES)
    with one_line_errors(url):
        store.put(key, path, chunk_size=_BLOCK_BYTES, max_concurrency=_CONCURRENT_BLOCKS)


def download(url: str, path: Path) -> None:
    """Copy an object to a local file, through a temporary name beside it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for block in read_blocks(url):
                file.write(block)
        partial.replace(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename is None:
            raise
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def list_objects(url: str) -> dict[str, int]:
    """Every object below `url`: size in bytes by path relative to `url`."""
    store, key = locate(url)
    found: dict[str, int] = {}
    if isinstance(store, LocalStore) and not local_path(url).is_dir():
        return found
    prefix = f"{key}/" if key else ""
    with one_line_errors(url):
        for batch in store.list(prefix=prefix or None):
            for entry in batch:
                found[entry["path"].removeprefix(prefix)] = int(entry["size"])
    return found


def delete(url: str, names: list[str]) -> None:
    """Remove the named objects below `url`; missing ones are ignored."""
    for name in names:
        store, key = locate(join(url, name))
        with one_line_errors(url):
            try:
                store.delete(key)
            except (FileNotFoundError, NotFoundError):
                continue
    if is_local(url):
        _remove_empty_folders(local_path(url))


def _remove_empty_folders(root: Path) -> None:
    for folder in sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
