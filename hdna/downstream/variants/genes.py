"""Coding sequences of a GTF file: one transcript of each gene, its bases in the order of translation."""

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from hdna.downstream.metrics import Ints
from hdna.downstream.variants.alleles import contig_name
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna_prep.source import Source

_COLUMNS = 9
_MAX_DIGITS = 18


@dataclass(frozen=True)
class Coding:
    """The coding sequence of a gene's transcript, in whole codons, without the codons of start and stop."""

    gene: str
    contig: str
    """As the genome calls it."""
    strand: str
    positions: Ints
    """(bases,) in the genome, from the first codon's first base on: descending on strand "-"."""


@dataclass(frozen=True)
class _Piece:
    gene: str
    transcript: str
    contig: str
    strand: str
    start: int
    end: int
    frame: int


def read_coding(gtf: str, genome: GenomeStore) -> list[Coding]:
    """The longest coding sequence of each gene on a contig of the genome, in the file's order.

    Raises InputError, "file:line: ...", for a line that is no GTF, and when no gene is of this genome.
    """
    transcripts: dict[tuple[str, str], list[_Piece]] = defaultdict(list)
    text = b"".join(Source(gtf).blocks()).decode(errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            piece = _piece(f"{gtf}:{number}", line, genome)
            if piece:
                transcripts[piece.gene, piece.transcript].append(piece)
    longest: dict[str, list[_Piece]] = {}
    for (gene, _), pieces in transcripts.items():
        if gene not in longest or _bases(pieces) > _bases(longest[gene]):
            longest[gene] = pieces
    if not longest:
        raise InputError(f"{gtf}: no CDS on a contig of this genome: give the annotation of the same assembly, as GTF")
    return [_coding(gene, pieces) for gene, pieces in longest.items()]


def _piece(where: str, line: str, genome: GenomeStore) -> _Piece | None:
    """A line's piece of coding sequence; None for a line about something else, or another contig."""
    fields = line.rstrip("\r").split("\t")
    if len(fields) != _COLUMNS:
        raise InputError(f"{where}: {len(fields)} columns: want the {_COLUMNS} of GTF, separated by tabs")
    name, _, feature, start, end, _, strand, frame, attributes = fields
    contig = contig_name(name, genome)
    if feature != "CDS" or contig is None:
        return None
    if not all(text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS for text in (start, end)):
        raise InputError(f"{where}: start {start!r} and end {end!r}: want two whole numbers")
    if strand not in ("+", "-") or frame not in ("0", "1", "2"):
        raise InputError(f"{where}: strand {strand!r} and frame {frame!r} of a CDS: want + or -, and 0, 1 or 2")
    if not 1 <= int(start) <= int(end) <= genome.contigs[contig]:
        raise InputError(f"{where}: {start} to {end} is not within {contig}, which has {genome.contigs[contig]} bases")
    gene, transcript = (_attribute(attributes, key) for key in ("gene_id", "transcript_id"))
    if not gene or not transcript:
        raise InputError(f'{where}: a CDS without gene_id "..." and transcript_id "...": want GTF, not GFF3')
    return _Piece(gene, transcript, contig, strand, int(start) - 1, int(end), int(frame))


def _attribute(attributes: str, key: str) -> str:
    found = re.search(rf'(?:^|;)\s*{key} "([^"]*)"', attributes)
    return found[1] if found else ""


def _bases(pieces: list[_Piece]) -> int:
    return sum(piece.end - piece.start for piece in pieces)


def _coding(gene: str, pieces: list[_Piece]) -> Coding:
    pieces = sorted(pieces, key=lambda piece: piece.start)
    positions = np.concatenate([np.arange(piece.start, piece.end) for piece in pieces])
    first = pieces[0]
    if first.strand == "-":
        positions, first = positions[::-1], pieces[-1]
    positions = positions[first.frame :]
    codons = len(positions) // 3
    # The first codon starts translation, whatever it codes for; the stop codon, which GTF leaves out, does no harm.
    return Coding(gene, first.contig, first.strand, positions[3 : 3 * codons].copy())
