"""Describes what is wrong with a FASTA file, with line and column."""

from hdna.errors import InputError


class Position:
    """A reader's position: line from 1, and bytes of that line already read (column)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.line = 1
        self.column = 0

    def next_line(self) -> None:
        """Move to the start of the next line."""
        self.line += 1
        self.column = 0

    def advance(self, piece: bytes) -> None:
        """Move past the bytes of `piece`."""
        self.line, self.column = self._after(piece)

    def fault(self, offset: int, what: str) -> InputError:
        """The error for the byte `offset` bytes further along the same line."""
        return InputError(f"{self._name}:{self.line}:{self.column + offset + 1}: {what}")

    def fault_within(self, piece: bytes, offset: int, what: str) -> InputError:
        """The error for byte `offset` of `piece`, which starts at this position."""
        line, column = self._after(piece[:offset])
        return InputError(f"{self._name}:{line}:{column + 1}: {what}")

    def _after(self, piece: bytes) -> tuple[int, int]:
        lines = piece.count(b"\n")
        if lines:
            return self.line + lines, len(piece) - piece.rfind(b"\n") - 1
        return self.line, self.column + len(piece)


_STARTS = (
    (b"<", "this is an HTML or XML page, not FASTA: was the download an error page?"),
    (b"{\\rtf", "this is RTF from a word processor, not FASTA: save it as plain text"),
    (b"{", "this is JSON, not FASTA: was the download an error message?"),
    (b"[", "this is JSON or an INI file, not FASTA: was the download an error message or a link?"),
    (b"%PDF", "this is a PDF, not FASTA"),
    (b"@HD\t", "this is SAM, not FASTA: alignments are not an assembly; give the reference they were aligned to"),
    (b"@SQ\t", "this is SAM, not FASTA: alignments are not an assembly; give the reference they were aligned to"),
    (b"BAM\1", "this is BAM, not FASTA: alignments are not an assembly; give the reference they were aligned to"),
    (b"CRAM", "this is CRAM, not FASTA: alignments are not an assembly; give the reference they were aligned to"),
    (b"@", "this looks like FASTQ ('@'), not FASTA: reads are not an assembly; give the assembly's FASTA"),
    (b"\xef\xbb\xbf", "the file begins with a byte order mark: save it as plain UTF-8 without one"),
    (b"\xff\xfe", "the file is UTF-16: save it as plain UTF-8"),
    (b"\xfe\xff", "the file is UTF-16: save it as plain UTF-8"),
    (b"LOCUS ", "this looks like GenBank, not FASTA: convert it"),
    (b"ID   ", "this looks like EMBL or UniProt, not FASTA: convert it"),
    (b"##gff", "this is GFF, not FASTA: it contains annotations; give the assembly's FASTA"),
    (b"##fileformat=VCF", "this is VCF, not FASTA: it contains variants; give the assembly's FASTA"),
    (b"#NEXUS", "this is a NEXUS alignment, not FASTA: give the assembly's FASTA"),
    (b"CLUSTAL", "this is a Clustal alignment, not FASTA: give the assembly's FASTA"),
    (b";", "';' starts a comment line of an old FASTA dialect: remove such lines"),
    (b"version https://git", "this is a Git LFS pointer, not the file itself: run 'git lfs pull'"),
    (b"\x1f\x8b", "gzipped twice: decompress it once"),
    (b"\0", "NUL byte: this is a binary or damaged file, not FASTA"),
)
"""First bytes of files mistaken for FASTA, and what to say; the first match counts."""
START_BYTES = 512
"""Bytes of a file that `describe_start` looks at."""
_TAR_MARK = slice(257, 262)


def describe_start(start: bytes) -> str:
    """Why text that begins with `start` is not FASTA."""
    if start[_TAR_MARK] == b"ustar":
        return "this is a tar archive, not FASTA: extract it, and give the FASTA inside"
    for mark, what in _STARTS:
        if start.startswith(mark):
            return what
    return "no header: the first record must start with '>NAME'"


def describe_byte(byte: int) -> str:
    """Why `byte` cannot stand in a nucleotide sequence."""
    letter = chr(byte)
    if byte == 0:
        return "NUL byte: the file is damaged or not text; copy or download it again"
    if letter == "\r":
        return "carriage return without a line feed: old Macintosh line ends; convert them to line feeds"
    if letter in "-.*":
        return f"gap or stop {letter!r}: this looks like an alignment or a protein; give ungapped nucleotides"
    if letter.isspace():
        return "white space within the sequence: remove it"
    if letter == "+":
        return "'+': this looks like FASTQ, whose quality lines follow it; give the assembly's FASTA"
    if letter == ";":
        return "';' starts a comment line of an old FASTA dialect: remove such lines"
    if letter in "xX":
        return f"letter {letter!r} is not a nucleotide code: if it masks repeats, write N; otherwise this is protein"
    if letter == ">":
        return "'>' within a line: a line break is missing before this header"
    if byte < 128 and letter.isalpha():
        return f"letter {letter!r} is not a nucleotide code: this looks like protein"
    shown = repr(letter) if 32 < byte < 127 else f"0x{byte:02x}"
    return f"byte {shown} is not a nucleotide code: want A, C, G, T, N or an IUPAC code"
