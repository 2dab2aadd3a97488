"""A genome to be looked for: its FASTA as pieces of about a thousand bases, each with its sampled k-mers.

Memory: about two bytes for each base.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdna.genome import alphabet
from hdna.genome.identity import SequenceDigest
from hdna.progress import Advance
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.kmers import Ints, K, Kmers, kmers_of_pieces
from hdna_prep.source import Source

PIECE = 1000
"""Bases that are found, or not, together. A contig's last piece has half as many to half as many again."""
SAMPLED = 16
"""One k-mer in so many is compared: some 60 of a piece."""
_BLOCK = 1024 * PIECE
"""Bases at a time."""


@dataclass(frozen=True)
class QueryContig:
    """A contig of the genome."""

    name: str
    bases: int
    known: Ints
    """(pieces,) letters A, C, G and T of each piece."""
    identifier: str
    """By refget."""


@dataclass(frozen=True)
class Query:
    """A genome's contigs, and the k-mers of all their pieces, numbered in order."""

    contigs: list[QueryContig]
    kmers: Kmers
    """(U,) each once, ascending."""
    place: npt.NDArray[np.uint32]
    """(M,) the numbers among `kmers` of all pieces' k-mers, ascending."""
    piece: npt.NDArray[np.uint32]
    """(M,) the piece that has it."""

    @property
    def sizes(self) -> Ints:
        """(pieces,) k-mers of each piece."""
        return np.bincount(self.piece, minlength=self.known.size)

    @property
    def known(self) -> Ints:
        """(pieces,) letters A, C, G and T of each piece."""
        return np.concatenate([contig.known for contig in self.contigs])


def read_query(fasta: str, advance: Advance) -> Query:
    """Read a FASTA file, plain, gzip or bgzip. Raises InputError for bad FASTA.

    `advance` is called with the bytes read.
    """
    reader = _Reader()
    for record in read_fasta(Source(fasta, advance)):
        if isinstance(record, Header):
            reader.start(record.name)
        else:
            reader.add(record)
    return reader.close()


class _Reader:
    """Takes the letters of one contig after another, and keeps the k-mers of their pieces."""

    def __init__(self) -> None:
        self._contigs: list[QueryContig] = []
        self._pieces: list[npt.NDArray[np.uint32]] = []
        self._kmers: list[Kmers] = []
        self._first = 0
        """Number of the contig's first piece."""
        self._name: str | None = None

    def start(self, name: str) -> None:
        """Begin a contig."""
        self._end_contig()
        self._name, self._digest = name, SequenceDigest()
        self._held: list[bytes] = []
        self._held_bases, self._done = 0, 0
        self._known: list[Ints] = []

    def add(self, letters: bytes) -> None:
        """Add letters of the contig."""
        self._digest.update(letters)
        self._held.append(letters)
        self._held_bases += len(letters)
        if self._held_bases >= _BLOCK + K - 1:
            self._take_block()

    def close(self) -> Query:
        """All contigs."""
        self._end_contig()
        kmers, pieces = np.concatenate(self._kmers), np.concatenate(self._pieces)
        self._kmers, self._pieces = [], []
        order = np.argsort(kmers)
        kmers, pieces = kmers[order], pieces[order]
        del order
        begins = np.append(True, kmers[1:] != kmers[:-1])[: kmers.size]
        place = np.cumsum(begins, dtype=np.uint32) - np.uint32(1)
        return Query(self._contigs, kmers[begins], place, pieces)

    def _take_block(self) -> None:
        """Take what is held, but for whole blocks' k-mers that reach into what follows."""
        letters = b"".join(self._held)
        while len(letters) >= _BLOCK + K - 1:
            self._sketch(letters[: _BLOCK + K - 1], _BLOCK)
            letters = letters[_BLOCK:]
        self._held, self._held_bases = [letters], len(letters)

    def _end_contig(self) -> None:
        if self._name is None:
            return
        self._sketch(b"".join(self._held), self._held_bases)
        known = np.concatenate(self._known)
        pieces = max(1, round(self._done / PIECE))
        if pieces < known.size:  # the rest belongs to the piece before
            known[pieces - 1] += known[pieces]
            self._pieces[-1] = np.minimum(self._pieces[-1], np.uint32(self._first + pieces - 1))
        self._contigs.append(QueryContig(self._name, self._done, known[:pieces], self._digest.identifier))
        self._first += pieces

    def _sketch(self, letters: bytes, bases: int) -> None:
        """Take the next `bases` of the contig; `letters` has those that their k-mers reach into, too."""
        tokens = alphabet.encode(letters)
        codes = tokens[:bases] - np.uint8(alphabet.A)
        known = np.concatenate(([0], np.cumsum(codes <= alphabet.T - alphabet.A)))
        borders = np.append(np.arange(0, bases, PIECE), bases)
        self._known.append(np.diff(known[borders]))
        pieces, kmers = kmers_of_pieces(tokens, PIECE, SAMPLED)
        self._pieces.append((pieces + self._first + self._done // PIECE).astype(np.uint32))
        self._kmers.append(kmers)
        self._done += bases
