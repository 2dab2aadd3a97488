"""Which parts of a VCF are scored already, so that an interrupted command need not score them again.

A part is a file of bgzip blocks, and a record that is renamed into place after it: with the hash of all that the part
depends on, the blocks' checksum, and the tally. Whatever does not match is scored again.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from hdna.downstream.variants.part import Tally
from hdna.errors import InputError
from hdna.storage.manifest import FileEntry, describe_bytes, describe_file
from hdna.storage.untrusted_json import Sha256, parse_json


@dataclass(frozen=True)
class _Record:
    key: Sha256
    file: FileEntry
    tally: Tally


class FinishedParts:
    """The parts in a folder, by their numbers from 0."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def take(self, number: int, key: str) -> Tally | None:
        """The tally of a part that is there, made of the same things."""
        try:
            path = self._record(number)
            record = parse_json(path.read_bytes(), _Record, str(path), "the part is scored again")
            if record.key == key and describe_file(self._blocks(number)) == record.file:
                return record.tally
        except (OSError, InputError):
            pass
        return None

    def put(self, number: int, key: str, blocks: bytes, tally: Tally) -> None:
        """Write a part, then its record."""
        record = self._record(number)
        record.unlink(missing_ok=True)
        self._blocks(number).write_bytes(blocks)
        partial = record.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(_Record(key, describe_bytes(blocks), tally))))
        partial.rename(record)

    def copy(self, numbers: Iterable[int], file: BinaryIO) -> None:
        """Append the blocks of the parts to a file."""
        for number in numbers:
            with self._blocks(number).open("rb") as blocks:
                shutil.copyfileobj(blocks, file)

    def _record(self, number: int) -> Path:
        return self._folder / f"{number:07d}.json"

    def _blocks(self, number: int) -> Path:
        return self._folder / f"{number:07d}.bgz"
