"""Nothing half-written is ever visible: a directory of files exists once its manifest does (the commit law).

The manifest lists every file with its size and sha256. Files are written first; the manifest is put last and only if
absent, so that a reader finds either a complete set with matching checksums or nothing.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdna import storage
from hdna.errors import InputError

MANIFEST = "manifest.json"
"""Manifest name of genome stores and shard sets; a checkpoint's is different."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A manifest's entry for one file."""

    bytes: int
    sha256: str


def describe_file(path: Path) -> FileEntry:
    """Size and sha256 of a local file."""
    with path.open("rb") as file:
        return FileEntry(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def describe_folder(folder: Path) -> dict[str, FileEntry]:
    """Size and sha256 of every file below a local folder, by path relative to it."""
    return {str(path.relative_to(folder)): describe_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def put_manifest(url: str, name: str, body: dict[str, Any], files: dict[str, FileEntry]) -> bool:
    """Commit: write `body` with its `files` table as `url/name`; False when a manifest already exists there."""
    table = {path: {"bytes": entry.bytes, "sha256": entry.sha256} for path, entry in sorted(files.items())}
    text = json.dumps({**body, "files": table}, indent=1)
    return storage.write_if_absent(storage.join(url, name), text.encode() + b"\n")


def read_manifest(url: str, name: str, kind: str, version: int) -> dict[str, Any]:
    """Read the manifest `url/name`.

    Raises FileNotFoundError when there is none, and InputError when it is not of `kind` in format `version`, or when
    its file table names anything outside `url`.
    """
    file_url = storage.join(url, name)
    try:
        body = json.loads(storage.read(file_url))
    except ValueError as error:
        raise InputError(f"{file_url}: not valid JSON ({error}): the {kind} is damaged; make it again") from None
    if not isinstance(body, dict) or body.get("format") != kind:
        raise InputError(f"{file_url}: not the manifest of a {kind}")
    if body.get("version") != version:
        found = body.get("version")
        raise InputError(f"{file_url}: format version {found}, but this program reads {version}: make the {kind} again")
    files = body.get("files")
    if not isinstance(files, dict) or not all(_is_file_entry(path, entry) for path, entry in files.items()):
        raise InputError(f"{file_url}: its file table is damaged; make the {kind} again")
    return body


def manifest_checksum(url: str, name: str) -> str:
    """sha256 of the manifest itself, which identifies the whole set. Raises FileNotFoundError when there is none."""
    return hashlib.sha256(storage.read(storage.join(url, name))).hexdigest()


def find_missing(url: str, manifest: dict[str, Any]) -> str | None:
    """The first file under `url` that is missing or differs in size from the manifest, or None.

    One listing, no reading, to open a set quickly; `find_damage` reads every byte.
    """
    sizes = storage.list_objects(url)
    for path, entry in manifest["files"].items():
        file_url = storage.join(url, path)
        if path not in sizes:
            return f"{file_url} is missing"
        if sizes[path] != entry["bytes"]:
            return f"{file_url} has {sizes[path]} bytes, its manifest says {entry['bytes']}"
    return None


def find_damage(url: str, manifest: dict[str, Any]) -> str | None:
    """What is wrong with the first damaged file under `url`, in words, or None when every checksum matches."""
    for path, entry in manifest["files"].items():
        fault = find_file_damage(storage.join(url, path), FileEntry(entry["bytes"], entry["sha256"]))
        if fault:
            return fault
    return None


def find_file_damage(url: str, entry: FileEntry) -> str | None:
    """How the file at `url` differs from its manifest's `entry`, in words, or None. Reads it in blocks."""
    digest, count = hashlib.sha256(), 0
    try:
        for part in storage.read_blocks(url):
            digest.update(part)
            count += len(part)
    except FileNotFoundError:
        return f"{url} is missing"
    if count != entry.bytes:
        return f"{url} has {count} bytes, its manifest says {entry.bytes}"
    if digest.hexdigest() != entry.sha256:
        return f"{url} does not have the sha256 its manifest says"
    return None


def _is_file_entry(path: str, entry: Any) -> bool:  # noqa: ANN401  (any JSON value)
    inside = (
        not path.startswith("/") and ":" not in path and all(part not in ("", ".", "..") for part in path.split("/"))
    )
    return (
        inside
        and isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and entry["bytes"] >= 0
        and isinstance(entry.get("sha256"), str)
        and _SHA256.fullmatch(entry["sha256"]) is not None
    )
