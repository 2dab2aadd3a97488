"""Named stretches of a genome, from a BED file."""

from collections.abc import Callable
from dataclasses import dataclass

from hdna.downstream.contig_names import ContigNames
from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna.genome.interval import Interval
from hdna_prep.bed import BedLine, past_the_end, read_bed_lines

_NAME, _STRAND = 3, 5
"""Columns, from 0."""


@dataclass(frozen=True)
class NamedInterval:
    """A line of a BED file."""

    name: str
    """Its fourth column, or else the interval in words."""
    interval: Interval
    """By the genome's name of the contig."""


def read_intervals(url: str, genome: GenomeStore, say: Callable[[str], None]) -> list[NamedInterval]:
    """The intervals of a BED file, in order, with their names and strands; without a strand, "+".

    `say` is called with a line about contigs that the genome names in another way (chr1 and 1). Raises InputError,
    "file:line: …", for a malformed line, an unknown contig, an interval past its contig's end.
    """
    names = ContigNames(genome.assembly, genome.contigs)
    found = [_named(line, genome, names) for line in read_bed_lines(url, "contig, start and end")]
    if names.note:
        say(f"{url}: {names.note}")
    return found


def _named(line: BedLine, genome: GenomeStore, names: ContigNames) -> NamedInterval:
    start, end = line.span
    contig = names.find(line.contig, line.where)
    if end > genome.contigs[contig]:
        raise past_the_end(line.where, end, contig, genome.contigs[contig])
    interval = Interval(contig, start, end, _strand(line))
    name = line.fields[_NAME] if len(line.fields) > _NAME else ""
    return NamedInterval(str(interval) if name in ("", ".") else name, interval)


def _strand(line: BedLine) -> str:
    strand = line.fields[_STRAND] if len(line.fields) > _STRAND else "."
    if strand not in ("+", "-", "."):
        raise InputError(f"{line.where}: strand {strand!r}: want +, - or .")
    return "+" if strand == "." else strand
