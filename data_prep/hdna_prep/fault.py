"""Says what is wrong with a FASTA file, and at which line and column."""

from hdna.errors import InputError


class Position:
    """Where a reader stands: line from 1, and how many bytes of that line (column) it has passed."""

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
        """The error for the byte `offset` bytes further on the same line."""
        return InputError(f"{self._name}:{self.line}:{self.column + offset + 1}: {what}")

    def fault_within(self, piece: bytes, offset: int, what: str) -> InputError:
        """The error for byte `offset` of `piece`, which begins at this position."""
        line, column = self._after(piece[:offset])
        return InputError(f"{self._name}:{line}:{column + 1}: {what}")

    def _after(self, piece: bytes) -> tuple[int, int]:
        lines = piece.count(b"\n")
        if lines:
            return self.line + lines, len(piece) - piece.rfind(b"\n") - 1
        return self.line, self.column + len(piece)


def describe_start(start: bytes) -> str:
    """Why text that begins with `start` is not FASTA."""
    if start.startswith(b"<"):
        return "this is an HTML or XML page, not FASTA: was the download an error page?"
    if start.startswith(b"@"):
        return "this looks like FASTQ ('@'), not FASTA: reads are no assembly; give the assembly's FASTA"
    if start.startswith(b"\xef\xbb\xbf"):
        return "the file begins with a byte order mark: save it as plain UTF-8 without one"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the file is UTF-16: save it as plain UTF-8"
    if start.startswith(b"LOCUS"):
        return "this looks like GenBank, not FASTA: convert it"
    if start.startswith(b"version https://git"):
        return "this is a Git LFS pointer, not the file itself: run 'git lfs pull'"
    if start.startswith(b"\0"):
        return "NUL byte: this is a binary or damaged file, not FASTA"
    return "no header: the first record must begin with '>NAME'"


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
    if letter == ">":
        return "'>' within a line: a line end is missing before this header"
    if byte < 128 and letter.isalpha():
        return f"letter {letter!r} is no nucleotide code: this looks like protein"
    shown = repr(letter) if 32 < byte < 127 else f"0x{byte:02x}"
    return f"byte {shown} is no nucleotide code: want A, C, G, T, N or an IUPAC code"
