"""Lines of BED files, plain or gzip: what all that read one check alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from hdna.errors import InputError
from hdna_prep.source import Source

_HEADERS = ("track", "browser")
"""First words of UCSC's header lines."""
_MAX_DIGITS = 18
"""Of a coordinate: more would not fit 64 bits."""


@dataclass(frozen=True)
class BedLine:
    """A line that has an interval."""

    where: str
    """As messages say it: "file:line"."""
    number: int
    fields: list[str]
    """Without white space around them."""

    @property
    def contig(self) -> str:
        """The first column."""
        return self.fields[0]

    @property
    def span(self) -> tuple[int, int]:
        """Start and end, half-open. Raises InputError when they are no integers from 0, or not in this order."""
        start, end = self.fields[1:3]
        if not all(text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS for text in (start, end)):
            raise InputError(f"{self.where}: start {start!r} and end {end!r}: want two integers from 0")
        if int(start) >= int(end):
            raise InputError(
                f"{self.where}: start {int(start)} is not before end {int(end)}: BED intervals are half-open"
            )
        return int(start), int(end)


def read_bed_lines(url: str, columns: str) -> Iterator[BedLine]:
    """The lines of a BED file that are neither blank nor for a browser; tabs or other white space between fields.

    Raises InputError, "file:line: …", for a line with fewer fields than `columns` names, or an odd line end; also when
    there is no interval at all.
    """
    text = b"".join(Source(url).blocks())
    found = False
    for number, line in enumerate(text.decode(errors="replace").replace("\r\n", "\n").split("\n"), 1):
        where = f"{url}:{number}"
        if "\r" in line:  # white space to Python: it would hide the rest of the line
            raise InputError(f"{where}: carriage return without a line feed: convert line ends to line feeds")
        if not line.strip() or _is_header(line):
            continue
        fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
        if len(fields) < len(columns.replace(" and ", ", ").split(", ")):
            raise InputError(f"{where}: {len(fields)} columns: want {columns}")
        found = True
        yield BedLine(where, number, fields)
    if not found:
        raise InputError(f"{url}: empty: it contains no interval")


def past_the_end(where: str, end: int, contig: str, length: int) -> InputError:
    """The error for an interval that its contig is too short for."""
    return InputError(f"{where}: end {end} is past the end of {contig}, which has {length} bases: another assembly?")


def _is_header(line: str) -> bool:
    """A comment, or a line for a browser; not a contig whose name merely begins like one, or is one."""
    words = line.split(maxsplit=3)
    return line.startswith("#") or (
        words[0] in _HEADERS and not (len(words) > 3 and words[1].isdecimal() and words[2].isdecimal())
    )
