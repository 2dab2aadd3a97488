"""Two writers to one bucket URL: the first one's claim protects its files from the other.

A bucket has no directories to rename, and different sets use the same file names (`train-000000.tar`): without a claim,
a second writer would replace the first one's files before being refused at the manifest. The claim is an object beside
the files, put only if absent, containing a digest of what will be written. A writer that returns after an interruption
with the same bytes continues under its old claim; one with other bytes is refused.
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
    """A committed set already exists at the destination."""


@contextmanager
def claimed(url: str, kind: str, body: dict[str, Any], files: dict[str, FileEntry]) -> Iterator[None]:
    """Hold the claim on the remote `url` for the set of `body` and `files`, until a manifest exists there.

    That is when the block ends without error or with AlreadyThereError: look for a manifest inside it, because a writer
    that has just finished has removed its claim. After any other error the claim stays, because some of its files may
    exist.

    Raises InputError when another set is being written there, or was started and never finished, and when the store
    would let both writers claim it.
    """
    storage.require_conditional_put(url)
    claim_url = storage.join(url, CLAIM)
    mine = _digest(body, files)
    if not storage.write_if_absent(claim_url, mine) and _existing_claim(claim_url) != mine:
        raise InputError(
            f"{url}: another {kind} is being written there, or was started but left unfinished: choose another name, "
            f"or remove {claim_url} if nobody is writing there any more"
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


def _existing_claim(claim_url: str) -> bytes | None:
    try:
        return storage.read(claim_url)
    except FileNotFoundError:  # its writer has just finished
        return None
