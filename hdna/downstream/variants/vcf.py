"""Reads VCF (plain, gzip, bgzip) line by line, in bounded memory, and refuses what is none.

Lines stay bytes: whatever this module does not read passes through as it was. Format: VCF 4.1 to 4.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hdna.errors import InputError
from hdna.progress import Advance
from hdna_prep.source import Source

FIRST = b"##fileformat=VCFv4."
COLUMNS = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")
INFO = COLUMNS.index(b"INFO")
_MAX_LINE = 1 << 26
"""Bytes; a record of half a million genotypes has a tenth of it."""
_MAX_DIGITS = 18
"""Of a position: more would not fit 64 bits."""

Lines = Iterator[tuple[int, bytes]]
"""Records by their line's number, from 1."""


@dataclass(frozen=True)
class Variants:
    """An open VCF file, or what stands for one."""

    name: str
    """For messages."""
    header: list[bytes]
    """The lines that begin with '##', then that of the columns."""
    records: Lines
    """To be read once."""

    @property
    def columns(self) -> int:
        """Of every record."""
        return self.header[-1].count(b"\t") + 1


@dataclass(frozen=True)
class Record:
    """What is read of a record."""

    contig: str
    start: int
    """0-based position of `ref`; -1 for VCF's position 0, the telomere before the first base."""
    ref: bytes
    """Upper case, as are alternatives that are bases."""
    alts: list[bytes]
    info: bytes


def open_vcf(url: str, advance: Advance = lambda count: None) -> Variants:
    """Read the header of a VCF file; its records are read as they are taken, `advance` called with the bytes read.

    Raises InputError when the file is no VCF.
    """
    lines = _lines(url, advance)
    header: list[bytes] = []
    for number, line in lines:
        if number == 1 and not line.startswith(FIRST):
            raise InputError(f"{url}:1: not a VCF file: it begins with {_shown(line)}, not with ##fileformat=VCFv4.x")
        header.append(line)
        if not line.startswith(b"##"):
            break
    if not header:
        raise InputError(f"{url}: empty: want a VCF file")
    if tuple(header[-1].split(b"\t")[: len(COLUMNS)]) != COLUMNS:
        raise InputError(
            f"{url}:{len(header)}: want the line of columns, #CHROM, POS, ... INFO, separated by tabs, "
            f"not {_shown(header[-1])}: write the file with a VCF library, or with bcftools"
        )
    return Variants(url, header, lines)


def parse(line: bytes, where: str, columns: int) -> tuple[list[bytes], Record]:
    """A record's fields, and what is read of them. Raises InputError that begins with `where` for a malformed one."""
    fields = line.split(b"\t")
    if len(fields) != columns:
        raise InputError(f"{where}: {len(fields)} columns, the header has {columns}: is the file truncated or edited?")
    contig, position, _, ref, alt = fields[:5]
    if not position.isdigit() or len(position) > _MAX_DIGITS:
        raise InputError(f"{where}: POS {_shown(position)}: want a whole number")
    alts = alt.upper().split(b",")
    if not contig or not ref or not all(alts) or not fields[INFO]:
        raise InputError(f"{where}: CHROM, REF, ALT or INFO is empty: want '.' for what is missing")
    return fields, Record(contig.decode(errors="replace"), int(position) - 1, ref.upper(), alts, fields[INFO])


def _lines(url: str, advance: Advance) -> Lines:
    """Lines without their ends, LF or CRLF."""
    number, held = 0, b""
    for block in Source(url, advance).blocks():
        *whole, held = (held + block).split(b"\n")
        for line in whole:
            number += 1
            yield number, line.removesuffix(b"\r")
        if len(held) > _MAX_LINE:
            raise InputError(f"{url}:{number + 1}: a line of more than {_MAX_LINE:,} bytes: not a VCF file")
    if held:
        yield number + 1, held.removesuffix(b"\r")


def _shown(text: bytes) -> str:
    return repr(text[:40].decode(errors="replace"))
