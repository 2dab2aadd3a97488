"""Objects in a bucket: s3://, gs:// or az://.

Busy servers and broken connections are retried with growing pauses (`hdna.storage.retry`); what still fails raises a
one-line InputError naming the URL.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from obstore.exceptions import AlreadyExistsError, GenericError, NotFoundError

from hdna.errors import InputError
from hdna.storage import retry
from hdna.storage.bucket_errors import is_torn, names_no_bucket, one_line_errors
from hdna.storage.stores import locate
from hdna.storage.traffic import TRAFFIC

T = TypeVar("T")

_BLOCK_BYTES = 8 << 20
_CONCURRENT_BLOCKS = 4
_PROBE = "hdna-probe-"


def read(url: str) -> bytes:
    """Read the whole object. Raises FileNotFoundError when there is none."""
    store, key = locate(url)
    with one_line_errors(url):
        data = bytes(store.get(key).bytes())
    TRAFFIC.count(read=len(data))
    return data


def read_blocks(url: str) -> Iterator[bytes]:
    """Read the object in blocks of some MiB. Raises FileNotFoundError."""
    store, key = locate(url)
    with one_line_errors(url):
        for block in store.get(key).stream(min_chunk_size=_BLOCK_BYTES):
            TRAFFIC.count(read=len(block))
            yield bytes(block)


def size(url: str) -> int | None:
    """Bytes of the object, or None when there is none."""
    store, key = locate(url)
    with one_line_errors(url):
        try:
            return int(store.head(key)["size"])
        except (FileNotFoundError, NotFoundError):
            return None


def write(url: str, content: bytes | Path) -> None:
    """Put an object, replacing any earlier one: bytes, or a local file's, in blocks if large."""
    store, key = locate(url, _CONCURRENT_BLOCKS * _BLOCK_BYTES)
    with one_line_errors(url):
        store.put(key, content, chunk_size=_BLOCK_BYTES, max_concurrency=_CONCURRENT_BLOCKS)
    TRAFFIC.count(written=len(content) if isinstance(content, bytes) else content.stat().st_size)


def write_if_absent(url: str, data: bytes) -> bool:
    """Put the object only if there is none; False when somebody else's already exists.

    The library reports an existing object to a second attempt even where the first one's answer was lost and the object
    is ours. So the attempts are made here: after one whose outcome is unknown, our own bytes count as ours.
    """
    store, key = locate(url, request_bytes=len(data), retries=0)
    pauses = iter(retry.RETRY.pauses())
    last_start = time.monotonic() + retry.RETRY.total
    outcome_unknown = False
    with one_line_errors(url):
        while True:
            try:
                store.put(key, data, mode="create")
                TRAFFIC.count(written=len(data))
                return True
            except AlreadyExistsError:
                return outcome_unknown and read(url) == data
            except GenericError as error:
                pause = next(pauses, None)
                if pause is None or time.monotonic() > last_start or names_no_bucket(str(error)):
                    raise
                time.sleep(pause)
                outcome_unknown = True


def require_writable(url: str) -> None:
    """Raise InputError when nothing can be put below `url`: an object of a new name is."""
    name = f"{_PROBE}{secrets.token_hex(8)}"
    write(f"{url.rstrip('/')}/{name}", b"")
    delete(url, [name])


def require_conditional_put(url: str) -> None:
    """Raise InputError when the store below `url` ignores the condition of `write_if_absent`.

    Some servers and proxies do, and answer success to both of two writers. An object of a new name is put twice. A
    process killed between that and its removal leaves it there: `is_probe` tells it from a user's files.
    """
    name = f"{_PROBE}{secrets.token_hex(8)}"
    probe = f"{url.rstrip('/')}/{name}"
    write_if_absent(probe, b"first")
    ignored = write_if_absent(probe, b"second")
    delete(url, [name])
    if ignored:
        raise InputError(
            f"{url}: this store ignores If-None-Match, so two writers could replace each other's files unnoticed: "
            f"use one that honours conditional puts, or take out the proxy that drops them"
        )


def is_probe(name: str) -> bool:
    """Whether an object is one that `require_writable` or `require_conditional_put` has left."""
    return name.startswith(_PROBE)


def list_objects(url: str) -> dict[str, int]:
    """Every object below `url`: its path relative to `url`, and its size in bytes."""
    store, key = locate(url)
    prefix = f"{key}/" if key else ""

    def listed() -> dict[str, int]:
        entries = (entry for batch in store.list(prefix=prefix or None) for entry in batch)
        return {entry["path"].removeprefix(prefix): int(entry["size"]) for entry in entries}

    with one_line_errors(url):
        return _asked_again(listed)


def list_level(url: str) -> tuple[list[str], list[str]]:
    """Names of the objects and of the folders right below `url`: what lies deeper is not asked for."""
    store, key = locate(url)
    prefix = f"{key}/" if key else ""
    with one_line_errors(url):
        found = _asked_again(lambda: store.list_with_delimiter(prefix or None))
    names = [entry["path"].removeprefix(prefix) for entry in found["objects"]]
    return names, [folder.removeprefix(prefix).rstrip("/") for folder in found["common_prefixes"]]


def delete(url: str, names: list[str]) -> None:
    """Remove the named objects below `url`; missing ones are no error.

    S3 takes 1,000 in a request, Azure 256; Google gets one request for each, ten at a time. Google and Azure report a
    missing object, and others may be left then: each is asked for again by itself.
    """
    store, key = locate(url)
    keys = [f"{key}/{name}" if key else name for name in names]
    with one_line_errors(url):
        try:
            _asked_again(partial(store.delete, keys))
        except (FileNotFoundError, NotFoundError):
            for one in keys:
                with suppress(FileNotFoundError, NotFoundError):
                    _asked_again(partial(store.delete, one))


def _asked_again(ask: Callable[[], T]) -> T:
    """What `ask` returns, asked again while its answer is torn: the library asks again only before an answer begins.

    `ask` may be done twice.
    """
    for pause in retry.RETRY.pauses():
        try:
            return ask()
        except GenericError as error:
            if not is_torn(str(error)):
                raise
            time.sleep(pause)
    return ask()
