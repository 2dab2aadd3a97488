"""The genome that variants and intervals refer to, opened for reading anywhere in it."""

from pathlib import Path

from hdna import storage
from hdna.genome import GenomeStore
from hdna.storage.manifest import MANIFEST
from hdna_prep.encode import encode_genome

_STORE = "genome.zarr"


def open_genome(url: str, scratch: Path) -> GenomeStore:
    """A genome store as it is, or a FASTA file (plain, gzip, bgzip) made into one in the folder `scratch`.

    A store that is there already from an interrupted command is taken as it is. Raises InputError for bad FASTA.
    """
    if storage.exists(storage.join(url, MANIFEST)):
        return GenomeStore.open(url)
    made = str(scratch / _STORE)
    if not storage.exists(storage.join(made, MANIFEST)):
        encode_genome([url], made)
    return GenomeStore.open(made)
