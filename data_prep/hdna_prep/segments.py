"""Cuts an assembly's letters, in the global coordinate, into segments of a whole number of chunks."""

from collections.abc import Callable, Iterator, Sequence

from hdna.errors import InputError
from hdna.genome import arrays
from hdna.genome.identity import SequenceDigest
from hdna.genome.packing import BASES_PER_BYTE
from hdna.progress import Advance
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.source import Source

CHUNKS_PER_SEGMENT = 4
"""16 MiB: large enough that passing a segment on costs little, small enough that a dozen fit in memory."""


def segment_bases() -> int:
    """Letters of every segment but the last."""
    return CHUNKS_PER_SEGMENT * arrays.CHUNK_BYTES * BASES_PER_BYTE


class SegmentReader:
    """The FASTA files of one assembly as segments, regardless of contigs."""

    def __init__(self, fastas: Sequence[str], on_contig: Callable[[bytes, int], None], advance: Advance) -> None:
        self._fastas = fastas
        self._on_contig = on_contig
        self._advance = advance
        self.sources: list[dict[str, str | int]] = []
        """Name, bytes and sha256 of each file read to its end."""
        self._digests: dict[str, SequenceDigest] = {}

    @property
    def identifiers(self) -> dict[str, str]:
        """The refget identifier of each contig read so far, by name, in order."""
        return {name: digest.identifier for name, digest in self._digests.items()}

    def segments(self) -> Iterator[bytes]:
        """Yield the letters of each segment.

        `on_contig` is called with each contig's header line and its start in the global coordinate. Raises InputError
        for bad FASTA, a name repeated within or across files, and when there are no bases at all.
        """
        size, taken = segment_bases(), 0
        held: list[bytes] = []
        room = size
        digest = SequenceDigest()
        for piece in self._pieces():
            if isinstance(piece, Header):
                self._on_contig(piece.text, taken * size + size - room)
                digest = self._digests[piece.name] = SequenceDigest()
                continue
            digest.update(piece)
            while len(piece) >= room:
                held.append(piece[:room])
                yield b"".join(held)
                held, piece, room, taken = [], piece[room:], size, taken + 1
            if piece:
                held.append(piece)
                room -= len(piece)
        if held:
            yield b"".join(held)
        elif not taken:
            raise InputError(f"{self._fastas[0]}: contains no bases")

    def _pieces(self) -> Iterator[Header | bytes]:
        seen: dict[str, str] = {}
        for fasta in self._fastas:
            source = Source(fasta, self._advance)
            yield from read_fasta(source, seen)
            self.sources.append({"name": source.path.name, "bytes": source.size, "sha256": source.sha256})
