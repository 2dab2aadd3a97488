"""Labelled rows as a file has them, before anything is checked: tables, FASTA beside a table, BED beside a genome.

Nothing is refused here but files that cannot be read: what is wrong with a row is for `admission` to say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hdna.downstream.table import Table, read_table
from hdna.downstream.tasks.places import cut_places
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna_prep.bed import read_bed_lines
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.source import Source

_SEQUENCE, _LABEL, _ID = ("sequence", "seq"), ("label", "labels"), ("id",)
_CHROMOSOME, _START, _END, _STRAND = ("chromosome", "chrom", "chr"), ("start",), ("end",), ("strand",)
_NO_LABELS = (*_SEQUENCE, *_ID, *_CHROMOSOME, *_START, *_END, *_STRAND)
"""Columns that are never labels."""


@dataclass(frozen=True)
class SourceRows:
    """Rows of one split."""

    url: str
    sequences: Sequence[Any]
    """As text; None where there is none."""
    labels: dict[str, list[Any]]
    """Cells by column: one column, or one for each label of a multi-label set."""
    at: Callable[[int], str]
    """Where a row is, for messages."""
    ids: Sequence[Any] | None = None
    chromosomes: Sequence[str] | None = None
    faults: dict[int, str] = field(default_factory=dict)
    """What is wrong with rows that have no sequence for a reason of their own."""
    note: str | None = None
    """What a user should know of how they were read."""

    def __len__(self) -> int:
        return len(self.sequences)


def read_labelled_table(url: str, genome: GenomeStore | None = None) -> SourceRows:
    """A CSV, TSV or Parquet table with columns sequence (or seq) and label; optional: id, chromosome.

    Instead of a sequence it may have chromosome, start and end (and strand) of a genome; instead of one label, a column
    of 0 and 1 for each of several. Raises InputError for a table without them.
    """
    table = read_table(url)
    ids, chromosomes = _column(table, _ID), _column(table, _CHROMOSOME)
    named = None if chromosomes is None else ["?" if name in (None, "") else str(name) for name in chromosomes]
    sequences = _column(table, _SEQUENCE)
    if sequences is not None:
        return SourceRows(url, sequences, _labels(table), table.at, ids, named)
    starts, ends = _column(table, _START), _column(table, _END)
    if named is None or starts is None or ends is None:
        table.column("sequence")  # says which columns there are
        raise InputError(f"{url}: no column 'sequence'")
    if genome is None:
        raise InputError(f"{url}: has intervals instead of sequences: give their genome by --genome")
    strands = _column(table, _STRAND) or ["+"] * len(table)
    found = cut_places(genome, list(zip(named, starts, ends, strands, strict=True)))
    return SourceRows(url, found.sequences, _labels(table), table.at, ids, named, found.faults, found.note)


def read_labelled_fasta(url: str, labels: str) -> SourceRows:
    """A FASTA file, and a table whose column id has the names of its records, with their labels.

    Records that the table does not name are rows without a label. Raises InputError for bad FASTA, a table without
    `id`, or with the same one twice.
    """
    table = read_table(labels)
    columns, row_of = _labels(table), dict[str, int]()
    for row, name in enumerate(table.column("id")):
        if str(name) in row_of:
            raise InputError(f"{table.at(row)}: id {name!r} again, as at {table.at(row_of[str(name)])}: remove one")
        row_of[str(name)] = row
    headers, sequences = read_records(url)
    rows = [row_of.get(header.name) for header in headers]
    cells = {name: [None if row is None else column[row] for row in rows] for name, column in columns.items()}
    names = [header.name for header in headers]
    return SourceRows(url, sequences, cells, lambda row: f"{url}:{headers[row].line}", names)


def read_labelled_bed(url: str, genome: GenomeStore) -> SourceRows:
    """A BED file with the label in the fourth column; a minus in the sixth means the other strand.

    Raises InputError, "file:line: …", for a line of fewer columns.
    """
    lines = list(read_bed_lines(url, "contig, start, end and label"))
    places = [(*line.fields[:3], line.fields[5] if len(line.fields) > 5 else "+") for line in lines]
    found, labels = cut_places(genome, places), {"label": [line.fields[3] for line in lines]}
    contigs = [line.contig for line in lines]
    at = [line.where for line in lines]
    return SourceRows(url, found.sequences, labels, lambda row: at[row], None, contigs, found.faults, found.note)


def read_records(url: str) -> tuple[list[Header], list[str]]:
    """The records of a FASTA file, whole in memory. Raises InputError for bad FASTA."""
    headers, pieces = list[Header](), list[list[str]]()
    for piece in read_fasta(Source(url)):
        if isinstance(piece, Header):
            headers.append(piece)
            pieces.append([])
        else:
            pieces[-1].append(piece.decode())
    return headers, ["".join(own) for own in pieces]


def _column(table: Table, names: Sequence[str]) -> list[Any] | None:
    """The first of the columns of these names, in whatever case."""
    own = {name.lower(): name for name in table.columns}
    return next((table.columns[own[name]] for name in names if name in own), None)


def _labels(table: Table) -> dict[str, list[Any]]:
    """The column of labels, or all columns that may be labels of a multi-label set."""
    one = {name: cells for name, cells in table.columns.items() if name.lower() in _LABEL}
    found = one or {name: cells for name, cells in table.columns.items() if name.lower() not in _NO_LABELS}
    if not found:
        table.column("label")  # says which columns there are
    return found
