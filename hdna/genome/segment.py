"""A segment: the letters of a whole number of chunks, regardless of contigs, encoded for the store.

Encoding is a pure function from letters to bytes, so any process on any machine can do it, and repeat it.
"""

import hashlib
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from hdna.genome.arrays import encode_chunks
from hdna.genome.packing import BASES_PER_BYTE, Bytes, Flags, Lengths, RunLengths, pack, two_bit

_BATCH_BYTES = 1 << 18
"""Letters processed at a time: they stay in a core's cache."""


@dataclass
class Counts:
    """Letters by class; soft-masked ones also count in the other classes."""

    acgt: int = 0
    unknown: int = 0
    other: int = 0
    soft_masked: int = 0

    def add(self, more: "Counts") -> None:
        """Add the counts of more letters."""
        self.acgt += more.acgt
        self.unknown += more.unknown
        self.other += more.other
        self.soft_masked += more.soft_masked

    def by_name(self) -> dict[str, int]:
        """As in the store's attributes."""
        return dict(zip(("ACGT", "N", "other", "soft_masked"), astuple(self), strict=True))


@dataclass(frozen=True)
class Columns:
    """What a segment adds to the store besides its bases."""

    bases: int
    counts: Counts
    n_runs: Lengths
    """Alternating run lengths over the segment: not N, N, not N, …"""
    mask_runs: Lengths
    iupac_positions: npt.NDArray[np.uint32]
    """Counted from the segment's start."""
    iupac_codes: Bytes


@dataclass(frozen=True)
class Segment:
    """An encoded segment."""

    letters_sha256: str
    chunks: list[bytes]
    """The contents of its chunk files of `bases`, in order."""
    columns: Columns


def encode_segment(letters: bytes, chunk_bytes: int) -> Segment:
    """Encode letters (valid nucleotide codes, either case) that start at a chunk of `chunk_bytes`."""
    work = _Work(letters)
    return Segment(hashlib.sha256(letters).hexdigest(), encode_chunks(work.packed, chunk_bytes), work.columns())


def pack_letters(letters: bytes) -> tuple[Bytes, Columns]:
    """The first half of `encode_segment`: bases at two bits and the columns, before compression."""
    work = _Work(letters)
    return work.packed, work.columns()


class _Work:
    def __init__(self, letters: bytes) -> None:
        self._letters = np.frombuffer(letters, np.uint8)
        self._n, self._mask = RunLengths(), RunLengths()
        self._runs: tuple[list[Lengths], list[Lengths]] = ([], [])
        self._iupac: list[tuple[npt.NDArray[np.uint32], Bytes]] = []
        self._counts = Counts()
        self.packed = np.empty(-(-self._letters.size // BASES_PER_BYTE), np.uint8)
        """(ceil(letters / 4),) bases at two bits; the last byte is padded with 0."""
        for start in range(0, self._letters.size, _BATCH_BYTES):
            self._batch(start, self._letters[start : start + _BATCH_BYTES])

    def columns(self) -> Columns:
        n_runs = np.concatenate([*self._runs[0], self._n.close()])
        mask_runs = np.concatenate([*self._runs[1], self._mask.close()])
        positions = [np.empty(0, np.uint32), *(positions for positions, _ in self._iupac)]
        codes = [np.empty(0, np.uint8), *(codes for _, codes in self._iupac)]
        return Columns(
            self._letters.size, self._counts, n_runs, mask_runs, np.concatenate(positions), np.concatenate(codes)
        )

    def _batch(self, start: int, letters: Bytes) -> None:
        upper: Bytes = letters & np.uint8(0xDF)
        lower_case: Flags = letters > ord("Z")
        acgt: Flags = (upper == ord("A")) | (upper == ord("C")) | (upper == ord("G")) | (upper == ord("T"))
        n_flags: Flags = upper == ord("N")
        codes = two_bit(upper)
        codes *= acgt
        if codes.size % BASES_PER_BYTE:
            codes = np.pad(codes, (0, -codes.size % BASES_PER_BYTE))
        first = start // BASES_PER_BYTE
        self.packed[first : first + codes.size // BASES_PER_BYTE] = pack(codes)
        self._runs[0].append(self._n.feed(n_flags))
        self._runs[1].append(self._mask.feed(lower_case))
        known, unknown = int(np.count_nonzero(acgt)), int(np.count_nonzero(n_flags))
        others = upper.size - known - unknown
        if others:
            positions = np.flatnonzero(~(acgt | n_flags))
            self._iupac.append(((positions + start).astype(np.uint32), upper[positions]))
        self._counts.add(Counts(known, unknown, others, int(np.count_nonzero(lower_case))))
