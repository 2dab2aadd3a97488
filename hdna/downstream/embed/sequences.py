"""The sequences to embed, from FASTA, from intervals of a genome, or from a table.

Shapes: N sequences.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna import storage
from hdna.downstream.intervals import read_intervals
from hdna.downstream.reference_genome import open_genome
from hdna.downstream.table import Table, read_table
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.storage.manifest import MANIFEST
from hdna_prep.source import Source

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

NAME, SEQUENCE = "name", "sequence"
LENGTH, EMBEDDING, OFFSETS = "length", "embedding", "offsets"
"""Columns that the result has besides those of the sequences."""


@dataclass(frozen=True)
class Sequences:
    """N sequences in order; their tokens are read when they are needed."""

    url: str
    columns: dict[str, list[Any]]
    """What is known of each, as columns of the result; `name` is the first."""
    lengths_N: Ints
    read: Callable[[int], Bytes]
    """The tokens of a sequence by its number."""

    def __len__(self) -> int:
        return len(self.lengths_N)

    def refuse_longer(self, l_max: int) -> None:
        """Raise InputError, naming the first, when sequences are longer than a model's l_max."""
        longer = np.flatnonzero(self.lengths_N > l_max)
        if longer.size:
            name, length = self.columns[NAME][longer[0]], self.lengths_N[longer[0]]
            more = f", and {longer.size - 1:,} more are too long" if longer.size > 1 else ""
            raise InputError(
                f"{self.url}: {name!r} has {length:,} bases, the model's l_max is {l_max:,}{more}: "
                f"cut them, for example by --bed with shorter intervals"
            )


@dataclass(frozen=True)
class Origin:
    """Where sequences are from: `fasta` alone, `bed` with `fasta`, or `table`."""

    fasta: str | None = None
    bed: str | None = None
    table: str | None = None

    def fingerprint(self) -> str:
        """What changes with the content: of files, size and time of change. Raises InputError for a missing one."""
        return json.dumps([_stamp(url) for url in (self.fasta, self.bed, self.table) if url is not None])

    def open(self, scratch: Path, say: Callable[[str], None]) -> Sequences:
        """Read what there is to know of the sequences; a FASTA file becomes a genome store in the folder `scratch`.

        `say` is called with what the user should know. Raises InputError for bad input.
        """
        if self.table is not None:
            return _of_table(read_table(self.table))
        assert self.fasta is not None
        genome = open_genome(self.fasta, scratch)
        if self.bed is None:
            named = [(name, Interval(name, 0, length)) for name, length in genome.contigs.items()]
            columns: dict[str, list[Any]] = {NAME: [name for name, _ in named]}
        else:
            named = [(one.name, one.interval) for one in read_intervals(self.bed, genome, say)]
            columns = {NAME: [name for name, _ in named]}
            for field in ("contig", "start", "end", "strand"):
                columns[field] = [getattr(interval, field) for _, interval in named]
        intervals = [interval for _, interval in named]
        lengths = np.array([len(interval) for interval in intervals], np.int64)
        return Sequences(self.bed or self.fasta, columns, lengths, lambda row: genome.read(intervals[row]))


def _stamp(url: str) -> list[Any]:
    manifest = storage.join(url, MANIFEST)
    if storage.exists(manifest):
        return [url, hashlib.sha256(storage.read(manifest)).hexdigest()]
    status = Source(url).path.stat()
    return [url, status.st_size, status.st_mtime_ns]


def _of_table(table: Table) -> Sequences:
    """Its `sequence` column, under the names of its `name` column, or else the numbers of rows, from 1."""
    tokens = [_tokens(table, row, text) for row, text in enumerate(table.column(SEQUENCE))]
    kept = {name: values for name, values in table.columns.items() if name not in (SEQUENCE, NAME)}
    for name in kept:
        if name in (LENGTH, EMBEDDING, OFFSETS) or "/" in name or name.startswith(".") or name.endswith(".json"):
            raise InputError(f"{table.url}: the result cannot have a column {name!r} of the table's: rename it")
    columns = {NAME: _names(table), **kept}
    return Sequences(table.url, columns, np.array([len(own) for own in tokens], np.int64), tokens.__getitem__)


def _tokens(table: Table, row: int, text: object) -> Bytes:
    if not isinstance(text, str) or not text:
        raise InputError(f"{table.at(row)}: no sequence: want letters in column {SEQUENCE!r}")
    tokens = alphabet.encode(text.encode("ascii", "replace"))
    if not tokens.all():
        at = int(np.argmin(tokens))
        raise InputError(f"{table.at(row)}: letter {at + 1} of the sequence is {text[at]!r}: want IUPAC nucleotides")
    return tokens


def _names(table: Table) -> list[str]:
    if NAME not in table.columns:
        return [str(row) for row in range(1, len(table) + 1)]
    seen: dict[str, int] = {}
    for row, name in enumerate(map(str, table.columns[NAME])):
        if name in seen:
            raise InputError(f"{table.at(row)}: duplicate name {name!r}, already at {table.at(seen[name])}: rename one")
        seen[name] = row
    return list(seen)
