"""FASTA to genome store, and back (the lossless law)."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import hdna
from hdna import storage
from hdna.genome import arrays
from hdna.genome.identity import check_accession
from hdna.genome.interval import Interval
from hdna.genome.segment import Columns, Segment, encode_segment
from hdna.genome.store import FORMAT, GenomeStore
from hdna.genome.store_writer import GenomeWriter
from hdna.progress import progress
from hdna.storage.manifest import describe_folder
from hdna.storage.staging import publish, refuse_existing, staging
from hdna_prep.fasta_writer import fasta_file
from hdna_prep.pool import InThisProcess, Pool, in_order
from hdna_prep.resume import FinishedSegments
from hdna_prep.segments import SegmentReader, segment_bases
from hdna_prep.source import Source

_SPAN_BASES = 1 << 22
_SUFFIXES = (".gz", ".bgz", ".fa", ".fasta", ".fna")


@dataclass(frozen=True)
class StoreSummary:
    """What was made, for the closing line."""

    url: str
    assembly: str
    contigs: int
    bases: int
    counts: dict[str, int]
    array_bytes: int
    """Bytes of the array chunks, excluding JSON."""
    reused_bases: int
    """Bases of the segments that an interrupted run had finished."""

    @property
    def stored_bits(self) -> float:
        """Of array chunks, for each base; "bits per base" is a loss."""
        return 8 * self.array_bytes / self.bases


def encode_genome(
    fastas: Sequence[str],
    out: str,
    assembly: str | None = None,
    pool: Pool | None = None,
    accession: str | None = None,
) -> StoreSummary:
    """Make the genome store `out` of one assembly from its FASTA files (plain, gzip or bgzip), in the order given.

    `assembly` is its name; by default the first file's. `accession` is the archives' name for it. `pool` encodes
    segments (by default in this process), and does not affect a byte of the store. If an earlier encode of the same
    files into `out` was interrupted, its finished segments are reused. Raises InputError for bad FASTA, a name repeated
    within or across files, an `accession` that is none, and when `out` exists; then nothing is written.
    """
    if accession is not None:
        check_accession(accession)
    refuse_existing(out, FORMAT.noun)
    readers = [Source(fasta) for fasta in fastas]
    with staging(out, FORMAT.noun, _resume_key(readers)) as folder:
        store = folder / "store"
        finished = FinishedSegments(store, folder / "segments")
        writer = GenomeWriter(store)
        what = f"reading FASTA, {left} finished segments to reuse" if (left := finished.count()) else "reading FASTA"
        with progress(sum(reader.size for reader in readers), what, "bytes") as advance:
            reader = SegmentReader(fastas, writer.start_contig, advance)
            reused = _encode(reader.segments(), finished, writer, pool or InThisProcess())
        name = assembly or assembly_name(fastas[0])
        attributes = writer.close(name, reader.sources, accession)
        files = describe_folder(store)
        known_as = {"assembly": name} if accession is None else {"assembly": name, "accession": accession}
        body = {**known_as, "bases": attributes["bases"], "lengths": writer.lengths, "contigs": reader.identifiers}
        publish(store, out, FORMAT, body, files)
    size = sum(entry.bytes for path, entry in files.items() if not path.endswith(".json"))
    contigs, bases, counts = attributes["contigs"], attributes["bases"], attributes["counts"]
    return StoreSummary(out, name, contigs, bases, counts, size, reused)


def _encode(segments: Iterator[bytes], finished: FinishedSegments, writer: GenomeWriter, pool: Pool) -> int:
    """Add every segment to the store, in order; return the bases of those an earlier run had finished."""
    several, segments = _more_than_one(segments)
    pool = pool if several else InThisProcess()
    reused = 0

    def started() -> Iterator[Callable[[], Columns]]:
        nonlocal reused
        for number, letters in enumerate(segments):
            columns = finished.take(number, letters)
            if columns is not None:
                reused += columns.bases
                yield partial(_columns_of_earlier_run, columns)
            else:
                yield partial(_put, finished, number, pool.submit(encode_segment, letters, arrays.CHUNK_BYTES))

    for columns in in_order(pool, started()):
        writer.add(columns)
    return reused


def _columns_of_earlier_run(columns: Columns) -> Columns:
    return columns


def _put(finished: FinishedSegments, number: int, encoded: Callable[[], Segment]) -> Columns:
    return finished.put(number, encoded())


def _more_than_one(segments: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
    """Whether there is more than one: a single segment is not worth starting a process."""
    first = list(islice(segments, 2))
    return len(first) > 1, chain(first, segments)


def _resume_key(sources: Sequence[Source]) -> str:
    """A hash of what a finished segment depends on besides its letters, which have their own checksum."""
    files = [(source.path.name, source.size) for source in sources]
    what = json.dumps([FORMAT.name, FORMAT.version, hdna.__version__, segment_bases(), arrays.CHUNK_BYTES, files])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def write_fasta(store_url: str, out: str) -> GenomeStore:
    """Write a store back as FASTA, in lines of 60, gzipped if the name ends in .gz; return the store."""
    store = GenomeStore.open(store_url)
    with fasta_file(storage.local_path(out)) as fasta, progress(store.bases, "writing FASTA", "bases") as advance:
        for header, (contig, length) in zip(store.headers, store.contigs.items(), strict=True):
            fasta.header(header.encode())
            for start in range(0, length, _SPAN_BASES):
                letters = store.read_ascii(Interval(contig, start, min(start + _SPAN_BASES, length)))
                fasta.letters(letters)
                advance(len(letters))
    return store


def assembly_name(fasta: str) -> str:
    """The assembly name implied by a FASTA file: its name without the usual extensions."""
    name = Path(fasta).name
    while name.lower().endswith(_SUFFIXES) and Path(name).stem:
        name = Path(name).stem
    return name
