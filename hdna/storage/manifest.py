"""Nothing half-written is ever visible: a directory of files exists once its manifest does (the commit law).

The manifest lists every file with its size and sha256, and carries the sha256 of itself, over its canonical JSON:
without the key `sha256`, keys sorted, no white space, ASCII. Files are written first; the manifest is put last and only
if absent, so that a reader finds either a complete set with matching checksums or nothing. What a reader uses are the
bytes it checked: nothing is read twice.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdna import storage
from hdna.errors import InputError
from hdna.storage.untrusted_json import Count, Sha256, convert_json, parse_json

MANIFEST = "manifest.json"
"""Manifest name of genome stores and shard sets; a checkpoint's is different."""


@dataclass(frozen=True)
class Format:
    """A kind of directory with a manifest."""

    name: str
    """As its manifests say it."""
    version: int
    noun: str
    """As messages say it."""
    manifest: str = MANIFEST
    """The manifest's file name."""
    remedy: str = "make it again, or copy it again"
    """What to do about a damaged one."""

    @property
    def damaged(self) -> str:
        """The end of a message about damage."""
        return f"the {self.noun} is damaged: {self.remedy}"


@dataclass(frozen=True)
class FileEntry:
    """A manifest's entry for one file."""

    bytes: Count
    sha256: Sha256


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was read, its own checksum verified."""

    url: str
    """The directory it describes."""
    format: Format
    body: dict[str, Any]
    """All of it, as JSON."""
    files: dict[str, FileEntry]
    """By path relative to `url`."""
    checksum: str
    """sha256 of the manifest, which identifies the whole set."""

    def read(self, path: str) -> bytes:
        """The content of one of its files. Raises InputError when it is missing or not as the manifest says."""
        url, entry = storage.join(self.url, path), self.files.get(path)
        if entry is None:
            raise InputError(f"{url}: not in the manifest: {self.format.damaged}")
        try:
            data = storage.read(url)
        except FileNotFoundError:
            raise InputError(f"{url} is missing: {self.format.damaged}") from None
        fault = _difference(url, describe_bytes(data), entry)
        if fault:
            raise InputError(f"{fault}: {self.format.damaged}")
        return data

    def find_missing(self) -> str | None:
        """The first file that is missing or has another size, in words, or None. One listing, no reading."""
        sizes = storage.list_objects(self.url)
        for path, entry in self.files.items():
            url = storage.join(self.url, path)
            if path not in sizes:
                return f"{url} is missing"
            if sizes[path] != entry.bytes:
                return _other_size(url, sizes[path], entry)
        return None

    def find_damage(self) -> str | None:
        """What is wrong with the first damaged file, in words, or None when every checksum matches."""
        faults = (find_file_damage(storage.join(self.url, path), entry) for path, entry in self.files.items())
        return next((fault for fault in faults if fault), None)


@dataclass(frozen=True)
class _Fields:
    """What every manifest has."""

    files: dict[str, FileEntry]
    sha256: Sha256


def describe_bytes(data: bytes) -> FileEntry:
    """Size and sha256 of a file's content."""
    return FileEntry(len(data), hashlib.sha256(data).hexdigest())


def describe_file(path: Path) -> FileEntry:
    """Size and sha256 of a local file."""
    with path.open("rb") as file:
        return FileEntry(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def describe_folder(folder: Path) -> dict[str, FileEntry]:
    """Size and sha256 of every file below a local folder, by path relative to it."""
    return {str(path.relative_to(folder)): describe_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def put_manifest(url: str, form: Format, body: dict[str, Any], files: dict[str, FileEntry]) -> bool:
    """Commit: write `body` with its `files` table as the manifest; False when one already exists there."""
    return storage.write_if_absent(storage.join(url, form.manifest), manifest_bytes(form, body, files))


def manifest_bytes(form: Format, body: dict[str, Any], files: dict[str, FileEntry]) -> bytes:
    """The manifest's file."""
    table = {path: {"bytes": entry.bytes, "sha256": entry.sha256} for path, entry in sorted(files.items())}
    whole = {"format": form.name, "version": form.version, **body, "files": table}
    return json.dumps({**whole, "sha256": canonical_sha256(whole)}, indent=1).encode() + b"\n"


def canonical_sha256(body: dict[str, Any]) -> str:
    """The checksum of a manifest, which its key `sha256` holds; that key does not count."""
    rest = {key: value for key, value in body.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_manifest(url: str, form: Format) -> Manifest:
    """Read the manifest of the directory `url`.

    Raises FileNotFoundError when there is none, and InputError when it is of another format or version, when its
    checksum does not match, or when its file table names anything outside `url`.
    """
    return parse_manifest(storage.read(storage.join(url, form.manifest)), url, form)


def parse_manifest(data: bytes, url: str, form: Format) -> Manifest:
    """The manifest of the directory `url` from the bytes of its file; raises like `read_manifest`."""
    where, advice = storage.join(url, form.manifest), form.damaged
    body = parse_json(data, dict[str, Any], where, advice)
    if body.get("format") != form.name:
        raise InputError(f"{where}: not the manifest of a {form.noun}: give the URL of one")
    if (found := body.get("version")) != form.version:
        advice = "make it again, or use the version of hdna that wrote it"
        raise InputError(f"{where}: format version {found}, but this program reads {form.version}: {advice}")
    fields = convert_json(body, _Fields, where, advice)
    try:
        matches = canonical_sha256(body) == fields.sha256
    except RecursionError:  # a little less deep than what the parser refuses
        matches = False
    if not matches:
        raise InputError(f"{where}: does not match its own checksum, as after an edit: {advice}")
    for path in fields.files:
        if path.startswith("/") or ":" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise InputError(f"{where}: its file table names {path!r}, which lies outside {url}: {advice}")
    return Manifest(url, form, body, fields.files, fields.sha256)


def find_file_damage(url: str, entry: FileEntry) -> str | None:
    """How the file at `url` differs from its manifest's `entry`, in words, or None. Reads it in blocks."""
    digest, count = hashlib.sha256(), 0
    try:
        for part in storage.read_blocks(url):
            digest.update(part)
            count += len(part)
    except FileNotFoundError:
        return f"{url} is missing"
    return _difference(url, FileEntry(count, digest.hexdigest()), entry)


def _difference(url: str, found: FileEntry, entry: FileEntry) -> str | None:
    if found.bytes != entry.bytes:
        return _other_size(url, found.bytes, entry)
    return None if found == entry else f"{url} does not have the sha256 its manifest says"


def _other_size(url: str, found: int, entry: FileEntry) -> str:
    return f"{url} has {found} bytes, its manifest says {entry.bytes}"
