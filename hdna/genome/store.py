"""The genome store: one assembly as a Zarr v3 group that plain `zarr` opens.

All contigs share one coordinate, in FASTA order; `contig_offsets` says where each begins. Arrays:
`bases` (2 bits a base, 0 where the letter is not A, C, G or T), `n_runs` and `mask_runs` (alternating run lengths),
`iupac_positions` and `iupac_codes` (other letters, upper case), `contig_offsets`, `contig_names` (header lines).
`manifest.json` lists every file with its sha256 and is written last; each file is checked when it is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt

from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.arrays import CHUNK_BYTES, READ_ERRORS, open_arrays
from hdna.genome.identity import Accession, RefgetIdentifier
from hdna.genome.interval import Interval
from hdna.genome.packing import BASES_PER_BYTE, Runs, unpack
from hdna.storage.manifest import MANIFEST, Format, Manifest, read_manifest
from hdna.storage.untrusted_json import Count, Meta, Sha256, convert_json

FORMAT: Final = Format("hdna-genome", 2, "genome store")

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LetterCounts:
    """Letters of an assembly by class; soft-masked ones also count in the other classes."""

    ACGT: Count
    N: Count
    other: Count
    soft_masked: Count


@dataclass(frozen=True)
class SourceFile:
    """A FASTA file that a store was made of."""

    name: str
    bytes: Count
    sha256: Sha256


@dataclass(frozen=True)
class Attributes:
    """The attributes of a store's group."""

    assembly: Annotated[str, Meta(min_length=1)]
    contigs: Count
    bases: Count
    counts: LetterCounts
    sources: list[SourceFile]
    accession: Accession | None = None


@dataclass(frozen=True)
class _Body:
    """What a manifest may say of contigs."""

    contigs: dict[str, RefgetIdentifier] | None = None


class GenomeStore:
    """An assembly open for reading; use `GenomeStore.open(url)`."""

    def __init__(self, url: str, manifest: Manifest) -> None:
        self.url = url
        self.manifest = manifest
        attributes, self._arrays = open_arrays(url, manifest)
        self.attributes = convert_json(attributes, Attributes, f"{url}/zarr.json", FORMAT.damaged)
        lines = self._column("contig_names").tobytes().split(b"\n")
        self.headers = [line.decode() for line in lines]
        """FASTA header lines without the '>', in order: name and description."""
        self._offsets = self._column("contig_offsets")
        # Split as bytes, so that only ASCII white space ends a name.
        names = [line.split(maxsplit=1)[0].decode() for line in lines]
        self._starts = dict(zip(names, self._offsets[:-1].tolist(), strict=True))
        self.contigs: dict[str, int] = dict(zip(names, np.diff(self._offsets).tolist(), strict=True))
        """Bases of each contig by its name, in FASTA order."""
        body = convert_json(manifest.body, _Body, f"{url}/{MANIFEST}", FORMAT.damaged)
        self.identifiers = body.contigs
        """The refget identifier of each contig; None of a store that does not have them."""
        self._decoded: tuple[int, Bytes] = (0, np.empty(0, np.uint8))
        self._check_attributes()

    @classmethod
    def open(cls, url: str) -> "GenomeStore":
        """Open the store at `url`.

        Raises InputError when there is no committed store, or a file its manifest lists is missing or not as listed.
        """
        try:
            manifest = read_manifest(url, FORMAT)
        except FileNotFoundError:
            raise InputError(f"{url}: not a committed genome store: make one with 'hdna prep genome'") from None
        fault = manifest.find_missing()
        if fault:
            raise InputError(f"{fault}: {FORMAT.damaged}")
        try:
            return cls(url, manifest)
        except READ_ERRORS as error:
            raise _damaged(url, error) from error

    @property
    def assembly(self) -> str:
        """The assembly's name."""
        return self.attributes.assembly

    @property
    def accession(self) -> str | None:
        """The assembly's accession, if it was given."""
        return self.attributes.accession

    @property
    def bases(self) -> int:
        """Bases of all contigs."""
        return self.attributes.bases

    @property
    def checksum(self) -> str:
        """sha256 of the store's manifest, which identifies its content."""
        return self.manifest.checksum

    def _check_attributes(self) -> None:
        """Raise ValueError where arrays, attributes and manifest contradict each other."""
        said, body = self.attributes, self.manifest.body
        offsets = self._offsets.tolist()
        if offsets[0] != 0 or min(self.contigs.values()) < 1 or offsets[-1] != said.bases:
            raise ValueError(f"contig_offsets do not rise from 0 to the {said.bases} bases of the attributes")
        if len(self.contigs) != len(self.headers) or len(self.headers) != said.contigs:
            raise ValueError(f"contig_names has {len(self.contigs)} different names, the attributes say {said.contigs}")
        if said.counts.ACGT + said.counts.N + said.counts.other != said.bases:
            raise ValueError("the counts of the attributes do not add up to its bases")
        if (body.get("assembly"), body.get("bases")) != (said.assembly, said.bases):
            raise ValueError("manifest and attributes differ in assembly or bases")
        if body.get("accession") != said.accession:
            raise ValueError("manifest and attributes differ in accession")
        if self.identifiers is not None and list(self.identifiers) != list(self.contigs):
            raise ValueError("the manifest does not have an identifier for each contig")
        if body.get("lengths") != {name: array.shape[0] for name, array in self._arrays.items()}:
            raise ValueError("the arrays do not have the lengths that the manifest says")
        if self._arrays["bases"].shape[0] != -(-said.bases // BASES_PER_BYTE):
            raise ValueError(f"the array bases does not hold {said.bases} bases")

    def read(self, interval: Interval) -> Bytes:
        """Tokens of an interval, (length,) uint8; the reverse complement if its strand is "-".

        Raises InputError for an unknown contig, an interval past the contig's end, or a damaged store.
        """
        tokens = self._tokens(*self._span(interval))
        return tokens if interval.strand == "+" else alphabet.reverse_complement(tokens)

    def read_mask(self, interval: Interval) -> npt.NDArray[np.bool_]:
        """Which letters of an interval are lower case (soft-masked); reversed if its strand is "-"."""
        mask = self._mask.flags(*self._span(interval))
        return mask if interval.strand == "+" else mask[::-1]

    def read_ascii(self, interval: Interval) -> bytes:
        """The letters as in the FASTA, with case and ambiguity codes; reverse-complemented on strand "-"."""
        start, end = self._span(interval)
        letters = np.frombuffer(alphabet.decode(self._tokens(start, end)), np.uint8).copy()
        first, last = self._iupac_between(start, end)
        letters[self._iupac_positions[first:last] - start] = self._iupac_codes[first:last]
        letters |= self._mask.flags(start, end).astype(np.uint8) << 5
        text = letters.tobytes()
        return text if interval.strand == "+" else text.translate(alphabet.COMPLEMENT_LETTERS)[::-1]

    def count_unknown(self, interval: Interval) -> int:
        """Count the letters of an interval that are not A, C, G or T, from the run tables alone."""
        start, end = self._span(interval)
        first, last = self._iupac_between(start, end)
        return self._n.count(start, end) + last - first

    @cached_property
    def _n(self) -> Runs:
        return self._runs("n_runs", self.attributes.counts.N)

    @cached_property
    def _mask(self) -> Runs:
        return self._runs("mask_runs", self.attributes.counts.soft_masked)

    @cached_property
    def _iupac_positions(self) -> npt.NDArray[np.int64]:
        positions = self._column("iupac_positions")
        steps = np.diff(positions, prepend=-1, append=self.bases)
        if positions.size != self.attributes.counts.other or steps.min() < 1 or self._n.at(positions).any():
            raise _damaged(self.url, ValueError("iupac_positions are not as many as counted, do not rise, or are N"))
        return positions

    @cached_property
    def _iupac_codes(self) -> Bytes:
        codes = self._column("iupac_codes")
        if codes.size != self._iupac_positions.size or not set(codes.tobytes()) <= set(alphabet.AMBIGUITY_CODES + b"U"):
            raise _damaged(self.url, ValueError("iupac_codes are not one ambiguity code for each position"))
        return codes

    def _runs(self, name: str, want: int) -> Runs:
        runs = Runs(self._column(name))
        if runs.total != self.bases or runs.count(0, self.bases) != want:
            raise _damaged(self.url, ValueError(f"{name} does not cover the {self.bases} bases and {want} of its kind"))
        return runs

    def _column(self, name: str, start: int = 0, end: int | None = None) -> npt.NDArray[Any]:
        try:
            return np.asarray(self._arrays[name][start:end])
        except READ_ERRORS as error:
            raise _damaged(self.url, error) from error

    def _span(self, interval: Interval) -> tuple[int, int]:
        length = self.contigs.get(interval.contig)
        if length is None:
            raise unknown_contig(self.url, interval.contig, list(self.contigs))
        if interval.end > length:
            raise InputError(f"{self.url}: {interval} runs past the end of {interval.contig}, which has {length} bases")
        start = self._starts[interval.contig] + interval.start
        return start, start + len(interval)

    def _iupac_between(self, start: int, end: int) -> tuple[int, int]:
        first, last = np.searchsorted(self._iupac_positions, [start, end]).tolist()
        return first, last

    def _tokens(self, start: int, end: int) -> Bytes:
        first = start // BASES_PER_BYTE
        packed = self._packed(first, -(-end // BASES_PER_BYTE))
        tokens = unpack(packed)[start - first * BASES_PER_BYTE : end - first * BASES_PER_BYTE]
        if self._n.count(start, end):
            tokens[self._n.flags(start, end)] = alphabet.N
        low, high = self._iupac_between(start, end)
        tokens[self._iupac_positions[low:high] - start] = alphabet.TOKEN_OF_BYTE[self._iupac_codes[low:high]]
        return tokens

    def _packed(self, first: int, last: int) -> Bytes:
        """Bytes [first, last) of `bases`. The last chunk is cached, so that neighbouring short reads decode it once."""
        began, chunk = self._decoded
        if first < began or last > began + chunk.size:
            if last - first >= CHUNK_BYTES:
                return self._column("bases", first, last)
            began = first // CHUNK_BYTES * CHUNK_BYTES
            chunk = self._column("bases", began, -(-last // CHUNK_BYTES) * CHUNK_BYTES)
            self._decoded = (began, chunk)
        return chunk[first - began : last - began]


def unknown_contig(where: str, name: str, known: Sequence[str]) -> InputError:
    """The error for a contig that `where` lacks, with the nearest name it has."""
    nearest = get_close_matches(name, known, n=1, cutoff=0.0)
    return InputError(f"{where}: no contig {name!r}; the nearest name is {nearest[0] if nearest else None!r}")


def _damaged(url: str, error: Exception) -> InputError:
    return error if isinstance(error, InputError) else InputError(f"{url}: {error}: {FORMAT.damaged}")
