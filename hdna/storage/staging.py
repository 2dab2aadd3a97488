"""Assembles a set of files before it is committed: out of sight, and cleaned up whatever happens.

A local set grows in a hidden directory beside its destination and is renamed; a remote one grows in local scratch and
is uploaded, manifest last. A directory left by a killed process is recognised by its free lock: the next writer to the
same URL resumes it if possible, and removes it otherwise.
"""

import fcntl
import glob
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hdna import storage
from hdna.errors import InputError
from hdna.storage import local
from hdna.storage.manifest import MANIFEST, FileEntry, Format, put_manifest
from hdna.storage.os_errors import explain, os_errors_explained
from hdna.storage.write_claim import AlreadyThereError, claimed

_SUFFIX = ".partial"


class InterruptedWorkError(InputError):
    """Work that stopped half-way and can be resumed: its results so far are kept, if `staging` may keep them."""


@contextmanager
def staging(url: str, kind: str, resume_key: str | None = None) -> Iterator[Path]:
    """A local folder in which to build the set of `kind` that `publish` will put at `url`.

    It is empty, unless an interrupted writer with the same `resume_key` (lower-case hexadecimal, a hash of all that the
    work depends on) left one: then it is that one, and the caller must check its contents. Raises InputError at once
    when something already exists at `url`, or when the disk fails or fills. The folder is removed at the end; with a
    `resume_key` it survives an interruption: a killed process, Ctrl-C, InterruptedWorkError.
    """
    refuse_existing(url, kind)
    try:
        folder, lock = _locked_folder(url, resume_key)
    except OSError as error:
        raise InputError(explain(url, error)) from None
    keep = False
    try:
        yield folder
    except OSError as error:
        raise InputError(f"{explain(url, error)}: nothing was written") from error
    except BaseException as error:
        keep = resume_key is not None and (isinstance(error, InterruptedWorkError) or not isinstance(error, Exception))
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish(folder: Path, url: str, form: Format, body: dict[str, Any], files: dict[str, FileEntry]) -> None:
    """Commit a staged folder: its `files`, and `body` as their manifest, appear at `url` together.

    Locally every file is synced to the disk before the manifest, and the manifest before the folder gets its name: a
    power failure leaves all of it, or nothing that a reader takes for a set. Raises InputError when another writer was
    first; its set stays untouched.
    """
    if storage.is_local(url):
        local.sync_tree(folder)
        put_manifest(str(folder), form, body, files)
        _rename(folder, url, form.noun)
        return
    with claimed(url, form.noun, body, files):
        refuse_existing(url, form.noun)
        for name in files:
            storage.upload(folder / name, storage.join(url, name))
        if not put_manifest(url, form, body, files):
            refuse_existing(url, form.noun)


def publish_plain(folder: Path, url: str, kind: str) -> None:
    """Let a staged folder for other programs, without a manifest, appear at the local `url`, all of it or nothing.

    Raises InputError when another writer was first; what it wrote stays untouched.
    """
    local.sync_tree(folder)
    _rename(folder, url, kind)


def publish_file(path: Path, url: str, kind: str) -> None:
    """Let a staged file appear at `url`, all of it or nothing. Raises InputError when the name is taken by then."""
    if not storage.is_local(url):
        refuse_existing_file(url, kind)
        storage.upload(path, url)
        return
    target = storage.local_path(url)
    local.sync(path)
    try:
        local.link(path, target)
    except FileExistsError:
        refuse_existing(url, kind)
        raise
    local.sync(target.parent)


def refuse_existing_file(url: str, kind: str) -> None:
    """Raise InputError when there is a single object at `url`."""
    if storage.exists(url):
        raise InputError(
            f"{url}: a {kind} already exists there; it is never overwritten: remove it or choose another name"
        )


def _rename(folder: Path, url: str, kind: str) -> None:
    target = storage.local_path(url)
    try:
        folder.rename(target)
    except OSError:
        refuse_existing(url, kind)
        raise
    local.sync(target.parent)


def refuse_existing(url: str, kind: str) -> None:
    """Raise InputError when `url` is taken: by a committed set, or, if local, by anything at all."""
    advice = "it is never overwritten: remove it or choose another name"
    if storage.exists(storage.join(url, MANIFEST)):
        raise AlreadyThereError(f"{url}: a {kind} already exists there; {advice}")
    if storage.is_local(url):
        path = storage.local_path(url)
        with os_errors_explained(url):
            # A rename replaces an empty folder, but no link, wherever it leads.
            free = not os.path.lexists(path) or (path.is_dir() and not path.is_symlink() and not any(path.iterdir()))
        if not free:
            raise InputError(f"{url}: something else already exists there; {advice}")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A hidden path beside `path` for writing a single file, renamed to it when the block ends without error.

    Raises InputError when `path` exists (it is never overwritten), or when the disk fails or fills.
    """
    taken = f"{path}: already exists; it is never overwritten: remove it or choose another name"
    if os.path.lexists(path):  # a link that leads nowhere counts
        raise InputError(taken)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        local.make_folder(path.parent)
        yield partial
        local.sync(partial)
        local.link(partial, path)
        local.sync(path.parent)
    except FileExistsError:
        raise InputError(taken) from None
    except OSError as error:
        raise InputError(explain(path, error)) from error
    finally:
        with suppress(OSError):  # of a read-only file system, where nothing was made
            partial.unlink(missing_ok=True)


def _locked_folder(url: str, resume_key: str | None) -> tuple[Path, int]:
    parent, prefix = _staging_location(url)
    if resume_key is not None:
        left = _left_behind(parent, f"{prefix}{resume_key}-")
        if left is not None:
            _remove_abandoned(parent, prefix)
            return left
    _remove_abandoned(parent, prefix)
    token = "" if resume_key is None else f"{resume_key}-"
    while True:
        folder = parent / f"{prefix}{token}{secrets.token_hex(4)}{_SUFFIX}"
        folder.mkdir()
        lock = _lock(folder)
        # Between mkdir and the lock another process may have mistaken the folder for an abandoned one.
        if lock is not None and folder.is_dir():
            return folder, lock


def _staging_location(url: str) -> tuple[Path, str]:
    """The parent directory of the staging folders for `url`, and their name prefix."""
    if storage.is_local(url):
        target = storage.local_path(url)
        local.make_folder(target.parent)
        return target.parent, f".{target.name}."
    mark = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()), f".hdna-upload.{mark}."


def _left_behind(parent: Path, prefix: str) -> tuple[Path, int] | None:
    """A folder left by an interrupted writer, with its lock; None if there is none or its writer is alive."""
    for folder in sorted(parent.glob(f"{glob.escape(prefix)}*{_SUFFIX}")):
        # In a directory that others can write to, somebody else's folder may contain anything.
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
            continue
        lock = _lock(folder)
        if lock is not None:
            return folder, lock
    return None


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for folder in parent.iterdir():
        if folder.name.startswith(prefix) and folder.name.endswith(_SUFFIX) and folder.is_dir():
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock until closed or its process dies; None if already locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
