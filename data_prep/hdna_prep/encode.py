"""FASTA to genome store, and back (the lossless law)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hdna import commit, storage
from hdna.errors import InputError
from hdna.genome.interval import Interval
from hdna.genome.store import FORMAT, VERSION, GenomeStore
from hdna.genome.store_writer import GenomeWriter
from hdna.progress import Advance, progress
from hdna.staging import publish, staging
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.fasta_writer import fasta_file
from hdna_prep.source import Source

KIND = "genome store"
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
    """Bytes of the array chunks, without JSON."""

    @property
    def bits_per_base(self) -> float:
        """Bits of array chunks per base."""
        return 8 * self.array_bytes / self.bases


def encode_genome(fastas: Sequence[str], out: str, assembly: str | None = None) -> StoreSummary:
    """Make the genome store `out` of one assembly from its FASTA files (plain, gzip or bgzip), in the order given.

    `assembly` is its name; by default the first file's. Raises InputError for bad FASTA, a name repeated within or
    across files, and when something stands at `out`; then nothing is written.
    """
    with staging(out, KIND) as folder:
        writer = GenomeWriter(folder)
        readers = [Source(fasta) for fasta in fastas]
        with progress(sum(reader.size for reader in readers), "reading FASTA", "bytes") as advance:
            sources = _write(fastas, writer, advance)
        name = assembly or assembly_name(fastas[0])
        attributes = writer.close(name, sources)
        files = commit.describe_folder(folder)
        body = {"format": FORMAT, "version": VERSION, "assembly": name, "bases": attributes["bases"]}
        publish(folder, out, KIND, body, files)
    arrays = sum(entry.bytes for path, entry in files.items() if not path.endswith(".json"))
    return StoreSummary(out, name, attributes["contigs"], attributes["bases"], attributes["counts"], arrays)


def write_fasta(store_url: str, out: str) -> GenomeStore:
    """Write a store back as FASTA, lines of 60, gzip where the name ends in .gz; gives the store that was read."""
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
    """The name a FASTA file suggests: its own, without the usual endings."""
    name = Path(fasta).name
    while name.lower().endswith(_SUFFIXES) and Path(name).stem:
        name = Path(name).stem
    return name


def _write(fastas: Sequence[str], writer: GenomeWriter, advance: Advance) -> list[dict[str, str | int]]:
    seen: dict[str, str] = {}
    sources: list[dict[str, str | int]] = []
    for fasta in fastas:
        source = Source(fasta, advance)
        for piece in read_fasta(source, seen):
            if isinstance(piece, Header):
                writer.start_contig(piece.text)
            else:
                writer.append(piece)
        sources.append({"name": source.path.name, "bytes": source.size, "sha256": source.sha256})
    if not writer.bases:
        raise InputError(f"{fastas[0]}: no bases in it")
    return sources
