"""Two writers to one URL in a bucket: the first one's claim keeps the other from its files.

A bucket has no directories to rename, and file names of two sets are the same (`train-000000.tar`): without a claim a
second writer would replace the first one's files before it is refused at the manifest. The claim is an object beside
the files, put only if absent, which holds the digest of what is going to be written. A writer that comes back after an
interruption with the same bytes goes on under its old claim; one with other bytes is refused.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hdna import storage
from hdna.errors import InputError
from hdna.storage.manifest import FileEntry

CLAIM = "claim.json"


class AlreadyThereError(InputError):
    """A committed set stands where one was to be written."""


@contextmanager
def claimed(url: str, kind: str, body: dict[str, Any], files: dict[str, FileEntry]) -> Iterator[None]:
    """Hold the claim on the remote `url` for the set of `body` and `files`, until a manifest stands there.

    That is when the block ends without error, or with AlreadyThereError: look for a manifest inside it, because the
    claim of a writer that has just finished is gone. After any other error the claim stays: files that belong to it
    may lie there.

    Raises InputError when another set is being written there, or was begun and never finished.
    """
    place = storage.join(url, CLAIM)
    mine = _digest(body, files)
    if not storage.write_if_absent(place, mine) and _standing(place) != mine:
        raise InputError(
            f"{url}: another {kind} is being written there, or was begun and left unfinished: choose another name, or "
            f"remove {place} if nobody writes there any more"
        )
    try:
        yield
    except AlreadyThereError:
        storage.delete(url, [CLAIM])
        raise
    storage.delete(url, [CLAIM])


def _digest(body: dict[str, Any], files: dict[str, FileEntry]) -> bytes:
    table = {name: [entry.bytes, entry.sha256] for name, entry in files.items()}
    digest = hashlib.sha256(json.dumps([body, table], sort_keys=True).encode()).hexdigest()
    return json.dumps({"format": "hdna-claim", "sha256": digest}).encode() + b"\n"


def _standing(place: str) -> bytes | None:
    try:
        return storage.read(place)
    except FileNotFoundError:  # its writer has just finished
        return None
