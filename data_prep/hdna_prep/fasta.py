"""A strict, streaming FASTA reader: what it accepts, the genome store keeps without loss.

Every FASTA library we tried accepted bad files silently, so this one refuses anything that is not plainly nucleotide
FASTA, with file:line:column. CRLF, blank lines, lower case and any line width are fine. No contig is ever held in
memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hdna.errors import InputError
from hdna.genome.alphabet import TOKEN_OF_BYTE
from hdna_prep.fasta_errors import START_BYTES, Position, describe_byte, describe_start
from hdna_prep.source import Source

_BAD = b"\0"
_MAX_HEADER_BYTES = 1 << 16
_LETTERS = bytes(byte if TOKEN_OF_BYTE[byte] else 0 for byte in range(256))
"""Translation table: nucleotide codes to themselves, all else to `_BAD`."""


@dataclass(frozen=True)
class Header:
    """A record's first line."""

    text: bytes
    """Everything after '>', verbatim: name and description."""
    name: str
    line: int


def read_fasta(source: Source, seen: dict[str, str] | None = None) -> Iterator[Header | bytes]:
    """Yield the records of a FASTA file: a Header, then its sequence's letters in one or more pieces, and so on.

    `seen` maps names to where they appeared; share it between the files of one assembly to refuse names repeated
    across files. Raises InputError, "file:line:column: …", for anything that is not nucleotide FASTA.
    """
    return _Reader(source, {} if seen is None else seen).pieces()


class _Reader:
    def __init__(self, source: Source, seen: dict[str, str]) -> None:
        self._source = source
        self._seen = seen
        self._at = Position(source.name)
        self._header: bytes | None = None
        """The header line being read, or None outside header lines."""
        self._record: Header | None = None
        self._record_letters = 0

    def pieces(self) -> Iterator[Header | bytes]:
        carry = b""
        for block in self._source.blocks():
            block = carry + block if carry else block
            # A CR can only be judged together with the next byte.
            carry = b"\r" if block.endswith(b"\r") else b""
            yield from self._block(block[:-1] if carry else block)
        if carry:
            yield from self._block(carry)
        if self._header is not None:
            yield self._open_record()
        if self._record is None:
            raise InputError(f"{self._source.name}: empty: it contains no FASTA record")
        self._close_record()

    def _block(self, block: bytes) -> Iterator[Header | bytes]:
        offset = 0
        while offset < len(block):
            if self._header is not None:
                offset, done = self._take_header(block, offset)
                if done:
                    yield self._open_record()
            elif self._at.column == 0 and block[offset] == ord(">"):
                self._close_record()
                self._header = b""
                offset += 1
            else:
                # Searching for one byte is far faster than for two; a '>' within a line is refused when reached.
                border = block.find(b">", offset + 1)
                end = len(block) if border < 0 else border
                letters = self._letters(block[offset:end])
                if letters:
                    yield letters
                offset = end

    def _take_header(self, block: bytes, offset: int) -> tuple[int, bool]:
        assert self._header is not None
        end = block.find(b"\n", offset)
        self._header += block[offset:] if end < 0 else block[offset:end]
        if len(self._header) > _MAX_HEADER_BYTES:
            raise self._at.fault(0, "the header line is longer than 64 KiB: is this FASTA?")
        return (len(block), False) if end < 0 else (end + 1, True)

    def _open_record(self) -> Header:
        assert self._header is not None
        text = self._header.removesuffix(b"\r")
        for byte in (0, ord("\r")):
            if byte in text:
                raise self._at.fault(1 + text.index(byte), describe_byte(byte))
        if text.startswith(b">"):
            raise self._at.fault(1, "'>>' does not start a record: want '>NAME description'")
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise self._at.fault(1 + error.start, "the header is not UTF-8: save the file as UTF-8") from None
        words = text.split(maxsplit=1)
        if not words or text[:1].isspace():
            raise self._at.fault(1, "the record has an empty name: want '>NAME description'")
        name = words[0].decode()
        if name in self._seen:
            raise self._at.fault(1, f"duplicate name {name!r}, already at {self._seen[name]}: rename one of the two")
        self._seen[name] = f"{self._source.name}:{self._at.line}"
        self._record, self._record_letters = Header(text, name, self._at.line), 0
        self._header = None
        self._at.next_line()
        return self._record

    def _close_record(self) -> None:
        if self._record is not None and self._record_letters == 0:
            where = f"{self._source.name}:{self._record.line}:1"
            raise InputError(f"{where}: record {self._record.name!r} has no sequence: remove it or complete the file")

    def _letters(self, piece: bytes) -> bytes:
        """The piece without line ends, every letter checked in one pass of `bytes.translate`."""
        if self._record is None and (text := piece.lstrip(b"\r\n")):
            raise self._at.fault_within(piece, len(piece) - len(text), describe_start(text.lstrip()[:START_BYTES]))
        letters = piece.translate(_LETTERS, b"\r\n")
        if _BAD in letters:
            at = next(i for i, byte in enumerate(piece) if not TOKEN_OF_BYTE[byte] and byte not in b"\r\n")
            raise self._at.fault_within(piece, at, describe_byte(piece[at]))
        if b"\r" in piece and piece.count(b"\r") != piece.count(b"\r\n"):
            at = next(i for i, byte in enumerate(piece) if byte == 13 and piece[i + 1 : i + 2] != b"\n")
            raise self._at.fault_within(piece, at, describe_byte(13))
        self._at.advance(piece)
        self._record_letters += len(letters)
        return letters
