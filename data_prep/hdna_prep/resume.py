"""Records on disk which segments of an encode are finished, so that an interrupted one need not repeat them.

A segment's files are its chunks of `bases`, at their paths in the store, and one with its columns. Its record, renamed
into place once they are written, contains the sha256 of its letters and of each file: whatever does not match is
encoded again.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hdna.errors import InputError
from hdna.genome.arrays import chunk_key
from hdna.genome.segment import Columns, Counts, Segment
from hdna.storage.manifest import FileEntry, describe_bytes, describe_file
from hdna.storage.untrusted_json import Count, Sha256, parse_json
from hdna_prep import segments

_ADVICE = "the segment is encoded again"
_TYPES = {"n_runs": "<u4", "mask_runs": "<u4", "iupac_positions": "<u4", "iupac_codes": "|u1"}


@dataclass(frozen=True)
class _Record:
    """What the record of a segment says."""

    letters_sha256: Sha256
    files: dict[str, FileEntry]
    """By path relative to the working folder."""


@dataclass(frozen=True)
class _Head:
    """The first line of a segment's columns."""

    bases: Count
    counts: Counts
    sizes: list[Count]
    """Of the arrays, in the order of _TYPES."""


class FinishedSegments:
    """The finished segments of the store growing in `folder`; records and columns are kept in `records`."""

    def __init__(self, folder: Path, records: Path) -> None:
        self._folder = folder
        self._records = records
        for needed in (folder / "bases" / "c", records):
            needed.mkdir(parents=True, exist_ok=True)

    def count(self) -> int:
        """Number of records, valid or not."""
        return sum(1 for _ in self._records.glob("*.json"))

    def take(self, number: int, letters: bytes) -> Columns | None:
        """The columns of segment `number`, if it was finished with these letters and its files match the record."""
        try:
            path = self._record(number)
            record = parse_json(path.read_bytes(), _Record, str(path), _ADVICE)
            if record.letters_sha256 != hashlib.sha256(letters).hexdigest():
                return None
            if any(describe_file(self._folder.parent / name) != entry for name, entry in record.files.items()):
                return None
            return _unpacked(self._columns(number))
        except (OSError, ValueError, InputError):
            return None

    def put(self, number: int, segment: Segment) -> Columns:
        """Write the files of segment `number`, then its record; return its columns."""
        record = self._record(number)
        record.unlink(missing_ok=True)
        first = number * segments.CHUNKS_PER_SEGMENT
        data = {self._folder / chunk_key("bases", first + i): chunk for i, chunk in enumerate(segment.chunks)}
        data[self._columns(number)] = _packed(segment.columns)
        files: dict[str, FileEntry] = {}
        for path, content in data.items():
            path.write_bytes(content)
            files[str(path.relative_to(self._folder.parent))] = describe_bytes(content)
        partial = record.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(_Record(segment.letters_sha256, files))))
        partial.rename(record)
        return segment.columns

    def _record(self, number: int) -> Path:
        return self._records / f"{number:06d}.json"

    def _columns(self, number: int) -> Path:
        return self._records / f"{number:06d}.columns"


def _packed(columns: Columns) -> bytes:
    """One line of JSON, then the concatenated arrays."""
    arrays = [np.ascontiguousarray(getattr(columns, name), kind) for name, kind in _TYPES.items()]
    head = _Head(columns.bases, columns.counts, [array.size for array in arrays])
    return b"\n".join([json.dumps(asdict(head)).encode(), b"".join(array.tobytes() for array in arrays)])


def _unpacked(path: Path) -> Columns:
    line, _, body = path.read_bytes().partition(b"\n")
    head = parse_json(line, _Head, str(path), _ADVICE)
    arrays, offset = {}, 0
    for (name, kind), size in zip(_TYPES.items(), head.sizes, strict=True):
        arrays[name] = np.frombuffer(body, kind, size, offset)
        offset += arrays[name].nbytes
    return Columns(bases=head.bases, counts=head.counts, **arrays)
