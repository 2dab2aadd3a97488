"""Labelled rows as a file has them, before anything is checked: tables, FASTA beside a table, intervals of a genome.

Nothing is refused here but files that cannot be read: what is wrong with a row is for `admission` to say.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hdna.downstream.table import Table, read_table
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore
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

    def __len__(self) -> int:
        return len(self.sequences)


def read_labelled_table(url: str, genome: GenomeStore | None = None) -> SourceRows:
    """A CSV, TSV or Parquet table with columns sequence (or seq) and label; optional: id, chromosome.

    Instead of a sequence it may have chromosome, start and end (and strand) of a genome; instead of one label, a column
    of 0 and 1 for each of several. Raises InputError for a table without them.
    """
    table = read_table(url)
    ids, chromosomes = _column(table, _ID), _column(table, _CHROMOSOME)
    sequences, faults = _column(table, _SEQUENCE), dict[int, str]()
    if sequences is None:
        starts, ends = _column(table, _START), _column(table, _END)
        if chromosomes is None or starts is None or ends is None:
            table.column("sequence")  # says which columns there are
            raise InputError(f"{url}: no column 'sequence'")
        strands = _column(table, _STRAND) or ["+"] * len(table)
        places = list(zip(chromosomes, starts, ends, strands, strict=True))
        sequences, faults = _cut(_given(genome, url), places)
    named = None if chromosomes is None else [str(name) for name in chromosomes]
    return SourceRows(url, sequences, _labels(table), table.at, ids, named, faults)


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
    headers, sequences = list[Header](), list[list[str]]()
    for piece in read_fasta(Source(url)):
        if isinstance(piece, Header):
            headers.append(piece)
            sequences.append([])
        else:
            sequences[-1].append(piece.decode())
    rows = [row_of.get(header.name) for header in headers]
    cells = {name: [None if row is None else column[row] for row in rows] for name, column in columns.items()}
    names = [header.name for header in headers]
    joined = ["".join(pieces) for pieces in sequences]
    return SourceRows(url, joined, cells, lambda row: f"{url}:{headers[row].line}", names)


def read_labelled_bed(url: str, genome: GenomeStore) -> SourceRows:
    """A BED file with the label in the fourth column; a minus in the sixth means the other strand.

    Raises InputError, "file:line: …", for a line of fewer columns.
    """
    lines, places, labels = list[int](), list[tuple[Any, Any, Any, Any]](), list[Any]()
    for line, fields in _bed_lines(url):
        if len(fields) < 4:
            raise InputError(f"{url}:{line}: {len(fields)} columns: want contig, start, end and label, tab-separated")
        lines.append(line)
        places.append((fields[0], fields[1], fields[2], fields[5] if len(fields) > 5 else "+"))
        labels.append(fields[3])
    if not lines:
        raise InputError(f"{url}: empty: it has no interval")
    sequences, faults = _cut(genome, places)
    contigs = [place[0] for place in places]
    return SourceRows(url, sequences, {"label": labels}, lambda row: f"{url}:{lines[row]}", None, contigs, faults)


def _bed_lines(url: str) -> Iterator[tuple[int, list[str]]]:
    data = b"".join(Source(url).blocks())
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{url}:{line}: not UTF-8: want BED as plain text, or gzip") from None
    for number, line_text in enumerate(text.splitlines(), start=1):
        if line_text.strip() and not line_text.startswith(("#", "track", "browser")):
            yield number, line_text.split("\t")


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


def _given(genome: GenomeStore | None, url: str) -> GenomeStore:
    if genome is None:
        raise InputError(f"{url}: has intervals instead of sequences: give their genome by --genome")
    return genome


def _cut(genome: GenomeStore, places: Sequence[tuple[Any, Any, Any, Any]]) -> tuple[list[Any], dict[int, str]]:
    """The sequence of each (contig, start, end, strand), and what is wrong with those that have none."""
    sequences, faults = list[Any](), dict[int, str]()
    for row, (contig, start, end, strand) in enumerate(places):
        sequences.append(None)
        try:
            first, last = int(start), int(end)
        except (TypeError, ValueError):
            faults[row] = f"start {start!r} and end {end!r} are not whole numbers"
            continue
        named = next((name for name in _spellings(str(contig)) if name in genome.contigs), None)
        if named is None:
            faults[row] = f"{genome.assembly} has no contig {contig!r}"
        elif not 0 <= first < last:
            faults[row] = f"{first}-{last} is not an interval: want 0 <= start < end"
        elif last > genome.contigs[named]:
            faults[row] = f"the interval ends at {last:,}, past the end of {named} ({genome.contigs[named]:,} bases)"
        else:
            tokens = genome.read(Interval(named, first, last, "-" if strand == "-" else "+"))
            sequences[-1] = alphabet.decode(tokens).decode()
    return sequences, faults


def _spellings(contig: str) -> tuple[str, str]:
    """A contig as it is written, and as UCSC and Ensembl differ: chr1 and 1."""
    return contig, contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
