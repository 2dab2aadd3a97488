"""The shard set: WebDataset tars of windows, and the manifest that indexes them.

Per sample, in this order: `KEY.json` (assembly, contig, start, end, split), `KEY.seq.npy` (uint8 tokens), and
`KEY.mask.npy` (bool, if the window has soft-masked bases). The manifest is written last and names only files beside
it: nothing in it can make a reader open another location or run a command.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from hdna import storage
from hdna.errors import InputError
from hdna.storage.manifest import MANIFEST, FileEntry, manifest_checksum, read_manifest

FORMAT: Final = "hdna-shards"
VERSION: Final = 1
SPLITS: Final = ("train", "valid", "test")
COUNTED: Final = ("A", "C", "G", "T", "N", "other", "soft_masked")
META_FIELD, SEQUENCE_FIELD, MASK_FIELD = "json", "seq.npy", "mask.npy"

_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.tar")
_KEY = re.compile(r"w\d{9,15}")
_MAX_SHARD_BYTES = 1 << 40
_MAX_WINDOW = 1 << 32


@dataclass(frozen=True)
class SampleEntry:
    """One window in a shard."""

    key: str
    assembly: str
    contig: str
    start: int
    end: int
    offset: int
    """Byte of the tar where the window's end - start tokens begin, one byte each."""
    mask_offset: int | None
    """The same for its soft mask; None if nothing in the window is masked."""


@dataclass(frozen=True)
class ShardEntry:
    """One tar."""

    url: str
    """Its name, beside the manifest."""
    bytes: int
    sha256: str
    split: str
    bases: int
    """Distinct bases: a base shared by two neighbouring windows counts once."""
    samples: list[SampleEntry]


@dataclass(frozen=True)
class SplitTotals:
    """The contents of one split."""

    windows: int
    bases: int
    counts: dict[str, int]
    """Distinct bases by letter (A, C, G with T for U; other: ambiguity codes), and how many are soft-masked."""


@dataclass(frozen=True)
class ShardSet:
    """A shard set's validated manifest."""

    url: str
    window: int
    shards: list[ShardEntry]
    totals: dict[str, SplitTotals]
    provenance: dict[str, Any]
    files: dict[str, FileEntry]
    checksum: str
    """sha256 of the manifest, which identifies the whole set."""

    def url_of(self, shard: ShardEntry) -> str:
        """URL of a shard."""
        return storage.join(self.url, shard.url)


def key_of(number: int) -> str:
    """The key of window `number`; without a dot, at which WebDataset would end it."""
    return f"w{number:09d}"


def manifest_body(
    window: int, shards: Iterable[ShardEntry], totals: dict[str, SplitTotals], provenance: dict[str, Any]
) -> dict[str, Any]:
    """The manifest's JSON, without its file table."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "window": window,
        "shards": [asdict(shard) for shard in shards],
        "totals": {split: asdict(entry) for split, entry in totals.items()},
        "provenance": provenance,
    }


def load_shard_set(url: str) -> ShardSet:
    """Load the manifest of the shard set at `url`.

    Raises InputError when there is no committed set, or when anything in the manifest violates this format.
    """
    try:
        body = read_manifest(url, MANIFEST, FORMAT, VERSION)
        checksum = manifest_checksum(url, MANIFEST)
    except FileNotFoundError:
        raise InputError(f"{url}: not a committed shard set: make one with 'hdna prep shards'") from None
    files = {name: FileEntry(entry["bytes"], entry["sha256"]) for name, entry in body["files"].items()}
    try:
        _want(type(body.get("provenance")) is dict, "provenance")
        totals = {_one_of(split, SPLITS, "split"): _totals(entry) for split, entry in _dict(body, "totals").items()}
        shards = [_shard(entry, files) for entry in _list(body, "shards")]
        _want(len({shard.url for shard in shards}) == len(shards), "shard names")
        return ShardSet(url, _int(body, "window", 1), shards, totals, body["provenance"], files, checksum)
    except ValueError as error:
        raise InputError(f"{url}/{MANIFEST}: {error}: the shard set is damaged; make it again") from None


def sample_metadata(assembly: str, contig: str, start: int, end: int, split: str) -> bytes:
    """The bytes of a sample's `KEY.json`."""
    meta = {"assembly": assembly, "contig": contig, "start": start, "end": end, "split": split}
    return json.dumps(meta).encode()


def _shard(entry: Any, files: dict[str, FileEntry]) -> ShardEntry:  # noqa: ANN401  (any JSON value)
    name = _str(entry, "url")
    if not _SHARD_NAME.fullmatch(name):
        raise ValueError(f"shard name {name!r} refused: want a plain NAME.tar beside the manifest")
    size, digest = _int(entry, "bytes", 0, _MAX_SHARD_BYTES), _str(entry, "sha256")
    if files.get(name) != FileEntry(size, digest):
        raise ValueError(f"shard {name} is not in the file table with the same size and sha256")
    samples = [_sample(sample, size, name) for sample in _list(entry, "samples")]
    split = _one_of(_str(entry, "split"), SPLITS, "split")
    return ShardEntry(name, size, digest, split, _int(entry, "bases", 0), samples)


def _sample(entry: Any, size: int, shard: str) -> SampleEntry:  # noqa: ANN401
    key = _str(entry, "key")
    _want(_KEY.fullmatch(key) is not None, f"key {key!r} of {shard}")
    start = _int(entry, "start", 0)
    end = _int(entry, "end", start + 2, start + _MAX_WINDOW)
    last = size - (end - start)
    mask = None if entry.get("mask_offset") is None else _int(entry, "mask_offset", 0, last)
    return SampleEntry(
        key, _str(entry, "assembly"), _str(entry, "contig"), start, end, _int(entry, "offset", 0, last), mask
    )


def _totals(entry: Any) -> SplitTotals:  # noqa: ANN401
    counts = _dict(entry, "counts")
    _want(set(counts) == set(COUNTED), "counts")
    return SplitTotals(
        _int(entry, "windows", 0), _int(entry, "bases", 0), {key: _int(counts, key, 0) for key in COUNTED}
    )


def _want(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"{what} violates the format")


def _field(entry: Any, key: str, kind: type) -> Any:  # noqa: ANN401
    _want(type(entry) is dict and type(entry.get(key)) is kind, key)
    return entry[key]


def _int(entry: Any, key: str, low: int, high: int = 2**63 - 1) -> int:  # noqa: ANN401
    number: int = _field(entry, key, int)
    _want(low <= number <= high, f"{key} {number}")
    return number


def _str(entry: Any, key: str) -> str:  # noqa: ANN401
    return str(_field(entry, key, str))


def _list(entry: Any, key: str) -> list[Any]:  # noqa: ANN401
    return list(_field(entry, key, list))


def _dict(entry: Any, key: str) -> dict[str, Any]:  # noqa: ANN401
    return dict(_field(entry, key, dict))


def _one_of(value: str, known: tuple[str, ...], what: str) -> str:
    _want(value in known, f"{what} {value!r}")
    return value
