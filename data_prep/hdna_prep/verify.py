"""Verifies a shard set or a genome store: checksums, offsets, counts, and every base in at most one split."""

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import numpy as np

from hdna import storage
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.set_windows import SetWindows
from hdna.genome.shard import SPLITS, SampleEntry, ShardEntry
from hdna.genome.shard_check import Bytes, Member, shard_problems
from hdna.genome.shard_layout import COUNTED
from hdna.genome.shard_set import ShardSet, load_shard_set, problems_among
from hdna.genome.store import GenomeStore
from hdna.progress import progress
from hdna.storage.manifest import MANIFEST, FileEntry, describe_bytes
from hdna_prep.duplicates import DuplicateWindows

_SPAN_BASES = 1 << 22
_TOKENS = (alphabet.A, alphabet.C, alphabet.G, alphabet.T, alphabet.N, alphabet.UNK)


def verify(url: str, warn: Callable[[str], object] = lambda text: None, stores: Sequence[str] = ()) -> list[str]:
    """What is wrong with the shard set or genome store at `url`, one line per problem; none when it is sound.

    `stores`: genome stores that a shard set must come from, unchanged.

    `warn` is called with findings that are not problems: identical windows in different splits. Raises InputError when
    there is no committed set or store.
    """
    if not storage.exists(storage.join(url, MANIFEST)):
        raise InputError(f"{url}: neither a committed shard set nor a genome store: there is no {MANIFEST}")
    try:
        if storage.exists(storage.join(url, "zarr.json")):
            return list(_store_problems(url))
        shard_set = load_shard_set(url)
        check = _ShardSetCheck(shard_set)
        problems = [*check.problems(), *_changed_stores(shard_set, stores)]
        for text in check.duplicates.report():
            warn(text)
        return problems
    except InputError as error:
        return [str(error)]


def _changed_stores(shard_set: ShardSet, stores: Sequence[str]) -> Iterator[str]:
    """Stores the set was not made from, by manifest checksum."""
    origins = {entry.manifest_sha256 for entry in shard_set.provenance.stores}
    for url in stores:
        if GenomeStore.open(url).checksum not in origins:
            yield f"{shard_set.url}: not made of {url} as it is now: make the set again, or give the store it is of"


def _store_problems(url: str) -> Iterator[str]:
    store = GenomeStore.open(url)
    fault = store.manifest.find_damage()
    if fault:
        yield fault
        return
    counted = np.zeros(256, np.int64)
    with progress(store.bases, "verifying", "bases") as advance:
        for contig, length in store.contigs.items():
            for start in range(0, length, _SPAN_BASES):
                letters = np.frombuffer(
                    store.read_ascii(Interval(contig, start, min(start + _SPAN_BASES, length))), np.uint8
                )
                counted += np.bincount(letters, minlength=256)
                advance(letters.size)
    upper = counted[:128].reshape(4, 32)[2] + counted[:128].reshape(4, 32)[3]
    acgt, unknown = int(upper[[1, 3, 7, 20]].sum()), int(upper[14])
    soft_masked = int(counted[97:123].sum())
    found = {"ACGT": acgt, "N": unknown, "other": int(upper.sum()) - acgt - unknown, "soft_masked": soft_masked}
    if found != asdict(store.attributes.counts):
        yield f"{url}: counts are {found}, but its attributes say {asdict(store.attributes.counts)}"


class _ShardSetCheck:
    """Checks every shard once and gathers the numbers that must add up over the set."""

    def __init__(self, shard_set: ShardSet) -> None:
        self._set = shard_set
        self._counts = {split: np.zeros(256, np.int64) for split in SPLITS}
        self._masked = dict.fromkeys(SPLITS, 0)
        self._windows = SetWindows(shard_set.shards)
        self.duplicates = DuplicateWindows(shard_set.url, self._windows.sample)

    def problems(self) -> Iterator[str]:
        """Every problem found, in words."""
        among = list(problems_among(self._windows, self._set))
        return iter(among) if among else self._problems_of_shards()

    def _problems_of_shards(self) -> Iterator[str]:
        uncounted = set()
        number = 0
        with progress(sum(shard.bytes for shard in self._set.shards), "verifying", "bytes") as advance:
            for shard, distinct in zip(self._set.shards, self._windows.distinct(), strict=True):
                for problem in self._shard(shard, number, distinct.tolist()):
                    uncounted.add(shard.split)
                    yield problem
                number += len(distinct)
                advance(shard.bytes)
        for split, said in self._set.totals.items():
            if split in uncounted:
                continue
            numbers = [*(int(self._counts[split][token]) for token in _TOKENS), self._masked[split]]
            found = dict(zip(COUNTED, numbers, strict=True))
            if said.counts != found:
                yield f"{self._set.url}: counts of {split} are {found}, but the manifest says {said.counts}"

    def _shard(self, shard: ShardEntry, first: int, distinct: list[int]) -> Iterator[str]:
        """`first`: the number of its first window; `distinct`: bases of each window that count."""
        url = self._set.url_of(shard)
        try:
            data = storage.read(url)
        except FileNotFoundError:
            yield f"{url} is missing"
            return
        if describe_bytes(data) != FileEntry(shard.bytes, shard.sha256):
            yield f"{url} does not have the bytes and sha256 its manifest says"
            return
        tar = np.frombuffer(data, np.uint8)
        problems = list(shard_problems(shard, lambda start, length: tar[start : start + length], _members(data)))
        yield from (f"{url}: {problem}" for problem in problems)
        if not problems:
            for number, (sample, bases) in enumerate(zip(shard.samples, distinct, strict=True), first):
                tokens = self._count(sample, shard.split, bases, tar)
                self.duplicates.add(tokens, number, shard.split)

    def _count(self, sample: SampleEntry, split: str, distinct: int, tar: Bytes) -> Bytes:
        """Count a window's letters; return its tokens."""
        tokens = tar[sample.offset : sample.offset + sample.end - sample.start]
        self._counts[split] += np.bincount(tokens[:distinct], minlength=256)
        if sample.mask_offset is not None:
            self._masked[split] += int(np.count_nonzero(tar[sample.mask_offset : sample.mask_offset + distinct]))
        return tokens


def _members(data: bytes) -> Iterator[Member]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            yield info.name, content.read() if content else b""
