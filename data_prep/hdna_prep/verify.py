"""Verifies a shard set or genome store: checksums, offsets, counts, and that no base is in two splits."""

import io
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hdna import storage
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.npy import HEADER_BYTES, npy_data
from hdna.genome.shard import (
    COUNTED,
    MASK_FIELD,
    META_FIELD,
    SEQUENCE_FIELD,
    SPLITS,
    SampleEntry,
    ShardEntry,
    ShardSet,
    load_shard_set,
    sample_metadata,
)
from hdna.genome.store import GenomeStore
from hdna.progress import progress
from hdna.storage.manifest import MANIFEST, FileEntry, find_damage, find_file_damage
from hdna_prep.duplicates import DuplicateWindows

_SPAN_BASES = 1 << 22
_TOKENS = (alphabet.A, alphabet.C, alphabet.G, alphabet.T, alphabet.N, alphabet.UNK)

WindowSpan = tuple[int, int, str, str]
"""Start, end, split and key of a window on its contig."""


def verify(url: str, warn: Callable[[str], object] = lambda text: None, stores: Sequence[str] = ()) -> list[str]:
    """What is wrong with the shard set or genome store at `url`, one line per problem; empty when it is sound.

    `stores`: genome stores that a shard set must have been made from, as they are now.

    `warn` is called with findings that are not errors: identical windows in two splits. Raises InputError when there is
    no committed set or store.
    """
    if not storage.exists(storage.join(url, MANIFEST)):
        raise InputError(f"{url}: neither a committed shard set nor a genome store: there is no {MANIFEST}")
    try:
        if storage.exists(storage.join(url, "zarr.json")):
            return list(_store_problems(url))
        check = _ShardSetCheck(load_shard_set(url))
        problems = [*check.problems(), *_changed_stores(load_shard_set(url), stores)]
        for text in check.duplicates.report():
            warn(text)
        return problems
    except InputError as error:
        return [str(error)]


def _changed_stores(shard_set: ShardSet, stores: Sequence[str]) -> Iterator[str]:
    """Stores that the set was not made from, by manifest checksum."""
    made_of = {entry.get("manifest_sha256") for entry in shard_set.provenance.get("stores", [])}
    for url in stores:
        if GenomeStore.open(url).checksum not in made_of:
            yield f"{shard_set.url}: not made from {url} as it is now: make the set again, or give its own store"


def _store_problems(url: str) -> Iterator[str]:
    store = GenomeStore.open(url)
    fault = find_damage(url, store.manifest)
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
    if found != store.attributes["counts"]:
        yield f"{url}: counts are {found}, but its attributes say {store.attributes['counts']}"


class _ShardSetCheck:
    """Walks every shard once, accumulating the set's totals."""

    def __init__(self, shard_set: ShardSet) -> None:
        self._set = shard_set
        self._windows: dict[tuple[str, str], list[WindowSpan]] = defaultdict(list)
        self._counts = {split: np.zeros(256, np.int64) for split in SPLITS}
        self._masked = dict.fromkeys(SPLITS, 0)
        self._keys: set[str] = set()
        self._distinct = _distinct_by_key(shard_set)
        self.duplicates = DuplicateWindows(shard_set.url)

    def problems(self) -> Iterator[str]:
        """Every problem found, in words."""
        with progress(sum(shard.bytes for shard in self._set.shards), "verifying", "bytes") as advance:
            for shard in self._set.shards:
                yield from self._shard(shard)
                advance(shard.bytes)
        yield from self._overlaps()
        yield from self._totals()

    def _shard(self, shard: ShardEntry) -> Iterator[str]:
        url = self._set.url_of(shard)
        fault = find_file_damage(url, FileEntry(shard.bytes, shard.sha256))
        if fault:
            yield fault
            return
        data = storage.read(url)
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
                members = {info.name: (info.offset_data, info.size) for info in tar if info.isreg()}
        except tarfile.TarError as error:
            yield f"{url}: not a complete tar: {error}"
            return
        expected: list[str] = []
        for sample in shard.samples:
            if sample.key in self._keys:
                yield f"{url}: key {sample.key} is used twice"
            self._keys.add(sample.key)
            expected += [f"{sample.key}.{field}" for field in _fields(sample)]
            for problem in self._sample(sample, shard.split, members, data):
                yield f"{url}: {sample.key}: {problem}"
        if list(members) != expected:
            yield f"{url}: its members are not the manifest's samples in order"
        if shard.bases != sum(self._distinct[sample.key] for sample in shard.samples):
            yield f"{url}: the manifest says {shard.bases} bases, which its windows do not add up to"

    def _sample(
        self, sample: SampleEntry, split: str, members: dict[str, tuple[int, int]], data: bytes
    ) -> Iterator[str]:
        self._windows[sample.assembly, sample.contig].append((sample.start, sample.end, split, sample.key))
        length = sample.end - sample.start
        if length > self._set.window + 1:
            yield f"{length} bases, but the set's windows have at most {self._set.window + 1}"
        meta = sample_metadata(sample.assembly, sample.contig, sample.start, sample.end, split)
        for field, offset in ((SEQUENCE_FIELD, sample.offset), (MASK_FIELD, sample.mask_offset)):
            if offset is not None:
                problem = _array_problem(members.get(f"{sample.key}.{field}"), field, offset, length, data)
                if problem:
                    yield problem
                    return
        begin, size = members.get(f"{sample.key}.{META_FIELD}", (0, 0))
        if data[begin : begin + size] != meta:
            yield f"its {META_FIELD} member differs from the manifest"
        distinct = self._distinct[sample.key]
        tokens = np.frombuffer(data, np.uint8, length, sample.offset)
        if not np.isin(tokens, _TOKENS).all():
            yield "contains bytes that are not base tokens"
        self.duplicates.add(tokens, sample, split)
        self._counts[split] += np.bincount(tokens[:distinct], minlength=256)
        if sample.mask_offset is not None:
            self._masked[split] += int(np.count_nonzero(np.frombuffer(data, np.uint8, distinct, sample.mask_offset)))

    def _overlaps(self) -> Iterator[str]:
        for (assembly, contig), windows in self._windows.items():
            end, last_split, last_key = -1, "", ""
            for start, stop, split, key in sorted(windows):
                shared = 1 if split == last_split else 0
                if start < end - shared:
                    what = f"{last_key} ({last_split}) and {key} ({split})"
                    yield f"{self._set.url}: windows {what} overlap on {contig} of {assembly}"
                if stop > end:
                    end, last_split, last_key = stop, split, key

    def _totals(self) -> Iterator[str]:
        for split in SPLITS:
            stated = self._set.totals.get(split)
            windows = sum(len(shard.samples) for shard in self._set.shards if shard.split == split)
            numbers = [*(int(self._counts[split][token]) for token in _TOKENS), self._masked[split]]
            found = (windows, sum(numbers[:-1]), dict(zip(COUNTED, numbers, strict=True)))
            if stated is None or (stated.windows, stated.bases, stated.counts) != found:
                yield f"{self._set.url}: totals of {split} are {found}, but the manifest says {stated}"


def _fields(sample: SampleEntry) -> list[str]:
    fields = [META_FIELD, SEQUENCE_FIELD]
    return fields if sample.mask_offset is None else [*fields, MASK_FIELD]


def _array_problem(member: tuple[int, int] | None, field: str, offset: int, length: int, data: bytes) -> str | None:
    if member is None:
        return f"has no {field} member"
    begin, size = member
    try:
        _, found = npy_data(memoryview(data)[begin : begin + size], "|b1" if field == MASK_FIELD else "|u1")
    except ValueError as error:
        return f"its {field} member is damaged: {error}"
    if found != length:
        return f"its {field} member has {found} bases, but the manifest says {length}"
    if begin + HEADER_BYTES != offset:
        return f"its {field} data begin at byte {begin + HEADER_BYTES}, but the manifest says {offset}"
    return None


def _distinct_by_key(shard_set: ShardSet) -> dict[str, int]:
    """Bases of each window, not counting one shared with the next window of its split."""
    windows = sorted(
        (sample.assembly, sample.contig, sample.start, sample.end, shard.split, sample.key)
        for shard in shard_set.shards
        for sample in shard.samples
    )
    starts = {(assembly, contig, start, split) for assembly, contig, start, _, split, _ in windows}
    return {
        key: end - start - int((assembly, contig, end - 1, split) in starts)
        for assembly, contig, start, end, split, key in windows
    }
