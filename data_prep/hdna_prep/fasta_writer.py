"""Writes FASTA, gzipped if the name ends in .gz; the same content gives the same bytes."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from hdna.storage.staging import new_file

_LINE_BASES = 60
_GZIP_LEVEL = 4


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class FastaWriter:
    """Header lines and letters, in lines of 60."""

    def __init__(self, file: _Writable) -> None:
        self._file = file
        self._carry = b""

    def header(self, text: bytes) -> None:
        """Begin a record; `text` is its header line without '>'."""
        self.end_record()
        self._file.write(b">" + text + b"\n")

    def letters(self, letters: bytes) -> None:
        """Add to the record's sequence, in pieces of any length."""
        text = self._carry + letters
        full_lines = len(text) - len(text) % _LINE_BASES
        lines = [text[i : i + _LINE_BASES] for i in range(0, full_lines, _LINE_BASES)]
        if lines:
            self._file.write(b"\n".join(lines) + b"\n")
        self._carry = text[full_lines:]

    def end_record(self) -> None:
        """Write the last, partial line."""
        if self._carry:
            self._file.write(self._carry + b"\n")
        self._carry = b""


@contextmanager
def fasta_file(path: Path) -> Iterator[FastaWriter]:
    """A new FASTA file, which appears under its name only when complete.

    Raises InputError when `path` exists or cannot be written.
    """
    with new_file(path) as partial, partial.open("wb") as raw:
        if path.name.endswith(".gz"):
            # Without name and time in its header, the same content gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=raw, mtime=0) as packed:
                writer = FastaWriter(packed)
                yield writer
                writer.end_record()
        else:
            writer = FastaWriter(raw)
            yield writer
            writer.end_record()
