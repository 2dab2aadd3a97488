"""Assembles encoded segments into the columns of a genome store, in bounded memory."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hdna.genome import arrays
from hdna.genome.arrays import COLUMNS, Column, chunk_key, create_array, create_group
from hdna.genome.packing import BASES_PER_BYTE, JoinedRuns
from hdna.genome.segment import Columns, Counts
from hdna.genome.store import FORMAT

_BASES = "bases"


class GenomeWriter:
    """A store being made in a local folder.

    Calls of `start_contig` and `add` (segments, in order) may interleave freely, because contigs carry their own
    offsets. The caller writes the chunk files of `bases`, at `chunk_key`; the rest is written here, after removing
    what an earlier writer left of it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _remove_all_but_bases(folder)
        self._group = create_group(folder)
        self._columns = {name: Column(self._group, name) for name in COLUMNS if name != _BASES}
        self._n, self._mask = JoinedRuns(), JoinedRuns()
        self._contigs = 0
        self._counts = Counts()
        self.bases = 0
        """Bases added so far."""
        self.lengths: dict[str, int] = {}
        """Of each array, once closed; the manifest repeats them, because padding hides where an array was cut."""

    def start_contig(self, header: bytes, offset: int) -> None:
        """Begin a contig at `offset` in the global coordinate; `header` is its FASTA line without '>' and line end."""
        separator = b"\n" if self._contigs else b""
        self._columns["contig_names"].append(np.frombuffer(separator + header, np.uint8))
        self._columns["contig_offsets"].append(np.array([offset], np.int64))
        self._contigs += 1

    def add(self, segment: Columns) -> None:
        """Add the columns of the next segment."""
        columns = self._columns
        columns["n_runs"].append(self._n.join(segment.n_runs))
        columns["mask_runs"].append(self._mask.join(segment.mask_runs))
        columns["iupac_positions"].append(segment.iupac_positions.astype(np.int64) + self.bases)
        columns["iupac_codes"].append(segment.iupac_codes)
        self._counts.add(segment.counts)
        self.bases += segment.bases

    def close(self, assembly: str, sources: list[dict[str, Any]], accession: str | None = None) -> dict[str, Any]:
        """Write the rest and the attributes, and return these. `sources`: name and sha256 of each FASTA."""
        columns = self._columns
        columns["n_runs"].append(self._n.close())
        columns["mask_runs"].append(self._mask.close())
        columns["contig_offsets"].append(np.array([self.bases], np.int64))
        self.lengths = {name: column.close() for name, column in columns.items()}
        self.lengths[_BASES] = self._close_bases()
        attributes: dict[str, Any] = {
            "format": FORMAT.name,
            "version": FORMAT.version,
            "assembly": assembly,
            **({} if accession is None else {"accession": accession}),
            "contigs": self._contigs,
            "bases": self.bases,
            "counts": self._counts.by_name(),
            "sources": sources,
        }
        self._group.attrs.put(attributes)
        return attributes

    def _close_bases(self) -> int:
        """Declare the array whose chunks already exist, and return its length; remove chunks of a longer genome."""
        length = -(-self.bases // BASES_PER_BYTE)
        create_array(self._group, _BASES, length)
        mine = {chunk_key(_BASES, number) for number in range(-(-length // arrays.CHUNK_BYTES))}
        for path in (self._folder / _BASES / "c").iterdir():
            if str(path.relative_to(self._folder)) not in mine:
                path.unlink()
        return length


def _remove_all_but_bases(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != _BASES:
            shutil.rmtree(path)
    (folder / _BASES / "zarr.json").unlink(missing_ok=True)
