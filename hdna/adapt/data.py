"""Genomes as one shard set for a run; what an earlier call has made is used again, if it is of the same files."""

from collections.abc import Callable, Sequence

from hdna import storage
from hdna.errors import InputError
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna.genome.store import GenomeStore
from hdna.storage.manifest import MANIFEST, describe_file
from hdna_prep.encode import assembly_name, encode_genome
from hdna_prep.pool import Pool
from hdna_prep.shards import write_shards
from hdna_prep.source import Source

RULE = "similarity"
"""How windows are split: near-identical ones fall on one side."""
_LARGEST_WINDOW = 1 << 20
_WINDOWS = 64
"""At least about so many in a set, so that each split has several."""


def prepared(
    fastas: Sequence[str], folder: str, context_length: int, pool: Pool, say: Callable[[str], None]
) -> ShardSet:
    """The shard set `folder`/shards of these genomes, one store for each, for contexts of up to `context_length`.

    Raises InputError when two have one name, or what is there already is of other files.
    """
    names = [assembly_name(fasta) for fasta in fastas]
    if len(set(names)) < len(names):
        raise InputError(f"two genomes are called {max(names, key=names.count)}: rename one of the files")
    stores = [
        _store(fasta, storage.join(folder, f"{name}.zarr"), pool, say)
        for fasta, name in zip(fastas, names, strict=True)
    ]
    url = storage.join(folder, "shards")
    if storage.exists(storage.join(url, MANIFEST)):
        return _existing(url, stores)
    window = window_of(sum(store.bases for store in stores), context_length)
    say(f"shards {url}: windows of {window:,} bases, splits by {RULE}")
    return write_shards([store.url for store in stores], url, rule=RULE, window=window, pool=pool)


def window_of(bases: int, context_length: int) -> int:
    """Bases of a window: a power of two that holds a context, small enough for a small genome's splits."""
    fitting = 1 << max(1, bases // _WINDOWS).bit_length() - 1
    return min(_LARGEST_WINDOW, max(fitting, 1 << context_length.bit_length()))


def _store(fasta: str, url: str, pool: Pool, say: Callable[[str], None]) -> GenomeStore:
    if storage.exists(storage.join(url, MANIFEST)):
        store, _ = GenomeStore.open(url), Source(fasta).size  # which refuses a file that is gone
        found = [source.sha256 for source in store.attributes.sources]
        if found != [describe_file(storage.local_path(fasta)).sha256]:
            raise InputError(f"{url}: was made of another {fasta}: remove its folder, or choose another --out")
        return store
    say(f"genome {fasta}: to {url}")
    encode_genome([fasta], url, pool=pool)
    return GenomeStore.open(url)


def _existing(url: str, stores: Sequence[GenomeStore]) -> ShardSet:
    shards = load_shard_set(url)
    if {origin.manifest_sha256 for origin in shards.provenance.stores} != {store.checksum for store in stores}:
        raise InputError(f"{url}: is of other genomes: give the same ones, or choose another --out")
    return shards
