"""A genome store as a worker is told of it."""

from functools import lru_cache

from hdna.errors import InputError
from hdna.genome.store import GenomeStore

StoreRef = tuple[str, str]
"""URL of a store, and the sha256 of its manifest."""


@lru_cache(maxsize=8)
def opened(url: str, checksum: str) -> GenomeStore:
    """The store, opened once per process. Raises InputError when it was replaced since it was referred to."""
    store = GenomeStore.open(url)
    if store.checksum != checksum:
        raise InputError(f"{url}: the store was replaced while this command ran: run it again")
    return store
