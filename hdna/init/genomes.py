"""What a recipe depends on of a genome: its contigs' lengths and its known bases, from FASTA or a genome store."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdna import storage
from hdna.errors import InputError
from hdna.genome.store import GenomeStore
from hdna.progress import progress
from hdna.storage.manifest import MANIFEST
from hdna_prep.encode import assembly_name
from hdna_prep.fasta import Header, read_fasta
from hdna_prep.source import Source

_KNOWN = b"ACGTacgt"


@dataclass(frozen=True)
class Genome:
    """One assembly's size."""

    url: str
    """As it was given: a FASTA file or a genome store."""
    assembly: str
    contigs: tuple[int, ...]
    """Bases of each, N among them."""
    known: int
    """A, C, G and T, in either case."""
    is_store: bool = False

    @property
    def bases(self) -> int:
        """Of all contigs."""
        return sum(self.contigs)


def read_genomes(urls: Sequence[str]) -> list[Genome]:
    """The sizes of some assemblies; FASTA files are read wholly, so that a bad one is refused here.

    Raises InputError for what is neither a genome store nor nucleotide FASTA, and when two have one name.
    """
    genomes = [_of_store(url) if storage.exists(storage.join(url, MANIFEST)) else _of_fasta(url) for url in urls]
    names = [genome.assembly for genome in genomes]
    if len(set(names)) < len(names):
        raise InputError(f"two genomes are called {max(names, key=names.count)}: rename one of the files")
    return genomes


def _of_store(url: str) -> Genome:
    store = GenomeStore.open(url)
    return Genome(url, store.assembly, tuple(store.contigs.values()), store.attributes.counts.ACGT, is_store=True)


def _of_fasta(url: str) -> Genome:
    contigs: list[int] = []
    known = 0
    with progress(Source(url).size, f"reading {url}", "bytes") as advance:
        for piece in read_fasta(Source(url, advance)):
            if isinstance(piece, Header):
                contigs.append(0)
            else:
                contigs[-1] += len(piece)
                known += len(piece) - len(piece.translate(None, _KNOWN))
    return Genome(url, assembly_name(url), tuple(contigs), known)
