"""Writes the letters of an assembly into the columns of a genome store, in bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np

from hdna.genome.packing import BASES_PER_BYTE, Bytes, Flags, RunLengths, pack, two_bit
from hdna.genome.store import FORMAT, VERSION, create_columns

_BATCH_BYTES = 1 << 17


class GenomeWriter:
    """A store that is being made: `start_contig`, then `append` its letters, for each contig; `close` at the end.

    Letters of several contigs are gathered and worked on together, since all lie in one coordinate: an assembly of
    100,000 short contigs costs no more than one long one.
    """

    def __init__(self, folder: Path) -> None:
        self._group, self._columns = create_columns(folder)
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._carry = np.empty(0, np.uint8)
        self._n, self._mask = RunLengths(), RunLengths()
        self._contigs = 0
        self._worked = 0
        self.counts = {"ACGT": 0, "N": 0, "other": 0, "soft_masked": 0}
        """Letters by class, so far worked on."""

    @property
    def bases(self) -> int:
        """Letters appended so far."""
        return self._worked + self._batch_bytes

    def start_contig(self, header: bytes) -> None:
        """Begin a contig; `header` is its FASTA header line without '>' and line end."""
        separator = b"\n" if self._contigs else b""
        self._columns["contig_names"].append(np.frombuffer(separator + header, np.uint8))
        self._columns["contig_offsets"].append(np.array([self.bases], np.int64))
        self._contigs += 1

    def append(self, letters: bytes) -> None:
        """Add letters (valid nucleotide codes, either case) to the contig begun last."""
        self._batch.append(letters)
        self._batch_bytes += len(letters)
        if self._batch_bytes >= _BATCH_BYTES:
            self._work()

    def close(self, assembly: str, sources: list[dict[str, Any]]) -> dict[str, Any]:
        """Write what is left and the attributes, which are returned. `sources`: name and sha256 of each FASTA."""
        self._work()
        columns = self._columns
        columns["bases"].append(pack(np.pad(self._carry, (0, -self._carry.size % BASES_PER_BYTE))))
        columns["n_runs"].append(self._n.close())
        columns["mask_runs"].append(self._mask.close())
        columns["contig_offsets"].append(np.array([self._worked], np.int64))
        for column in columns.values():
            column.close()
        attributes: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "assembly": assembly,
            "contigs": self._contigs,
            "bases": self._worked,
            "counts": self.counts,
            "sources": sources,
        }
        self._group.attrs.put(attributes)
        return attributes

    def _work(self) -> None:
        letters = np.frombuffer(b"".join(self._batch), np.uint8)
        self._batch, self._batch_bytes = [], 0
        if not letters.size:
            return
        upper: Bytes = letters & np.uint8(0xDF)
        lower_case = letters > ord("Z")
        codes = two_bit(upper)
        acgt = (upper == ord("A")) | (upper == ord("C")) | (upper == ord("G")) | (upper == ord("T"))
        n_flags = upper == ord("N")
        codes *= acgt
        self._put_bases(codes)
        self._put_iupac(upper, acgt, n_flags)
        self._columns["n_runs"].append(self._n.feed(n_flags))
        self._columns["mask_runs"].append(self._mask.feed(lower_case))
        self.counts["soft_masked"] += int(np.count_nonzero(lower_case))
        self._worked += letters.size

    def _put_bases(self, codes: Bytes) -> None:
        if self._carry.size:
            codes = np.concatenate((self._carry, codes))
        whole = codes.size - codes.size % BASES_PER_BYTE
        self._columns["bases"].append(pack(codes[:whole]))
        self._carry = codes[whole:].copy()

    def _put_iupac(self, upper: Bytes, acgt: Flags, n_flags: Flags) -> None:
        known, unknown = int(np.count_nonzero(acgt)), int(np.count_nonzero(n_flags))
        others = upper.size - known - unknown
        self.counts["ACGT"] += known
        self.counts["N"] += unknown
        self.counts["other"] += others
        if others:
            places = np.flatnonzero(~(acgt | n_flags))
            self._columns["iupac_positions"].append(places + self._worked)
            self._columns["iupac_codes"].append(upper[places])
