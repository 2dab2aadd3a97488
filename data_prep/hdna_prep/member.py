"""Which part of a genome is in the train split of shard sets: `hdna prep member`.

The train split is read once; what is kept of it is which of the genome's k-mers each assembly has. Memory: about two
bytes for each base of the genome, 1/16 of a byte more for each assembly that shares any of it, and one shard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdna.genome.shard_set import ShardSet
from hdna.progress import Advance, progress
from hdna_prep.kmers import Ints, K, sampled_kmers
from hdna_prep.query import SAMPLED, Query, read_query
from hdna_prep.source import Source
from hdna_prep.train_split import Batch, train_batches, train_shards

BANDS = (0.99, 0.95, 0.90)
"""Lower ends of the identities told apart. Below the last too few k-mers are whole to tell homology from chance."""
MIN_KMERS = 10
"""Pieces of fewer are not compared: they are short, mostly N, or a short repeat over and over."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Origin:
    """An assembly of a training set."""

    shards: str
    """URL of the set."""
    assembly: str
    accession: str | None


@dataclass(frozen=True)
class Share:
    """How much of a genome, or of a contig, is in training. Everything but `bases` counts A, C, G and T alone."""

    name: str
    bases: int
    known: int
    """A, C, G and T."""
    compared: int
    """Those of pieces that could be compared."""
    found: tuple[int, ...]
    """Those of pieces found at each of BANDS, or at more."""
    nearest: Origin | None
    """The assembly that most of it is nearest to."""
    same_as: str | None = None
    """The contig of a training set's genome that has the same letters."""


@dataclass(frozen=True)
class Membership:
    """The answer."""

    whole: Share
    contigs: list[Share]
    """In FASTA order."""
    train_bases: int


@dataclass(frozen=True)
class _Pieces:
    """Of each piece of the genome."""

    known: Ints
    compared: Flags
    identity: npt.NDArray[np.float64]
    """To the nearest assembly; 0 where none shares a k-mer, and where it is not compared."""
    nearest: Ints
    """Which of the origins that is."""


def membership(fasta: str, sets: Sequence[ShardSet]) -> Membership:
    """Compare a genome with the train split of shard sets.

    A piece of about 1,000 bases is found at identity c^(1/K) where an assembly has a share c of its sampled k-mers.
    Raises InputError for bad FASTA and damaged shards.
    """
    with progress(Source(fasta).size, "reading the genome", "bytes") as advance:
        query = read_query(fasta, advance)
    size = sum(shard.bytes for shard_set in sets for shard in train_shards(shard_set))
    with progress(size, "reading the train split", "bytes") as advance:
        hits = _hits(query, sets, advance)
    pieces, origins, same = _pieces(query, list(hits.values())), list(hits), _contigs_in(sets)
    shares, first = [], 0
    for contig in query.contigs:
        mine = slice(first, first + contig.known.size)
        shares.append(_share(contig.name, contig.bases, pieces, mine, origins, same.get(contig.identifier)))
        first += contig.known.size
    bases = sum(contig.bases for contig in query.contigs)
    whole = _share(fasta, bases, pieces, slice(None), origins)
    return Membership(whole, shares, sum(shard_set.totals["train"].bases for shard_set in sets))


def _hits(query: Query, sets: Sequence[ShardSet], advance: Advance) -> dict[Origin, Flags]:
    """Which of the genome's k-mers each assembly has, of assemblies that have any."""
    hits: dict[Origin, Flags] = {}
    for shard_set in sets:
        accessions = {store.assembly: store.accession for store in shard_set.provenance.stores}
        for batch in train_batches(shard_set, advance):
            for assembly, found in matches(query, batch):
                origin = Origin(shard_set.url, assembly, accessions.get(assembly))
                if origin not in hits:
                    hits[origin] = np.zeros(query.kmers.size, np.bool_)
                hits[origin][found] = True
    return hits


def matches(query: Query, batch: Batch) -> Iterator[tuple[str, Ints]]:
    """The numbers of the genome's k-mers that windows have, by assembly."""
    if not query.kmers.size:
        return
    positions, kmers = sampled_kmers(batch.tokens, SAMPLED)
    order = np.argsort(kmers)  # ascending, so that the search below walks through memory
    positions, kmers = positions[order], kmers[order]
    places = np.searchsorted(query.kmers, kmers)
    places[places == query.kmers.size] = 0
    there = query.kmers[places] == kmers
    places, positions = places[there], positions[there]
    names = {name: number for number, name in enumerate(dict.fromkeys(batch.assemblies))}
    numbers = np.array([names[name] for name in batch.assemblies])
    assembly = numbers[np.searchsorted(batch.ends, positions, side="right")]
    for name, number in names.items():
        if (mine := places[assembly == number]).size:
            yield name, mine


def _pieces(query: Query, hits: Sequence[Flags]) -> _Pieces:
    sizes = query.sizes
    compared = sizes >= MIN_KMERS
    most, nearest = np.zeros(sizes.size, np.int64), np.zeros(sizes.size, np.int64)
    for number, flags in enumerate(hits):
        counts = np.bincount(query.piece[flags[query.place]], minlength=sizes.size)
        nearest[counts > most] = number
        np.maximum(most, counts, out=most)
    identity = np.where(compared, most / np.maximum(sizes, 1), 0.0) ** (1 / K)
    return _Pieces(query.known, compared, identity, nearest)


def _share(
    name: str, bases: int, pieces: _Pieces, mine: slice, origins: Sequence[Origin], same_as: str | None = None
) -> Share:
    """Add up the pieces of a contig, or all."""
    known, identity = pieces.known[mine], pieces.identity[mine]
    compared = int(known[pieces.compared[mine]].sum())
    found = tuple(int(known[identity >= band].sum()) for band in BANDS)
    nearest = None
    if found[-1]:
        hit = identity >= BANDS[-1]
        nearest = origins[int(np.bincount(pieces.nearest[mine][hit], weights=known[hit]).argmax())]
    return Share(name, bases, int(known.sum()), compared, found, nearest, same_as)


def _contigs_in(sets: Sequence[ShardSet]) -> dict[str, str]:
    """The contigs of the genomes that the sets were made of, whatever their split, by refget identifier."""
    return {
        identifier: f"{contig} of {store.assembly}"
        for shard_set in sets
        for store in shard_set.provenance.stores
        for contig, identifier in (store.contigs or {}).items()
    }
