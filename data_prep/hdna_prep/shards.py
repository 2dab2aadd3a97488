"""Genome stores to shard set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hdna
from hdna import storage
from hdna.errors import InputError
from hdna.genome.hashing import hash64
from hdna.genome.sample_parts import IndexedShard
from hdna.genome.set_windows import SetWindows
from hdna.genome.shard import SPLITS, ShardEntry
from hdna.genome.shard_layout import SplitTotals
from hdna.genome.shard_set import (
    FORMAT,
    MAX_WINDOW,
    Dropped,
    Provenance,
    ShardSet,
    StoreOrigin,
    load_shard_set,
    manifest_body,
    problems_among,
    shard_set,
)
from hdna.genome.store import GenomeStore
from hdna.progress import progress
from hdna.storage.manifest import FileEntry, describe_file, manifest_bytes, parse_manifest
from hdna.storage.staging import publish, staging
from hdna_prep.pool import InThisProcess, Pool, in_order
from hdna_prep.set_index import SetIndex
from hdna_prep.shard_task import Tally, write_shard
from hdna_prep.splits import Stores, Stretch, read_bed, split_by_contig, split_by_hash, split_by_similarity
from hdna_prep.store_ref import StoreRef
from hdna_prep.windows import DROP_RULE, Window, cut, keep_known
from hdna_prep.work_done import followed

DEFAULT_WINDOW = 1 << 20
RULES = ("hash", "contig", "similarity")
_SHARD_BASES = 1 << 26
_MAX_WINDOWS_IN_MANIFEST = 1 << 17
"""A set of more has its samples in an index."""


@dataclass(frozen=True)
class _Plan:
    """A set's windows, and how many were dropped."""

    windows: list[Window]
    dropped: int


def write_shards(
    store_urls: Sequence[str],
    out: str,
    bed: str | None = None,
    rule: str = "hash",
    window: int = DEFAULT_WINDOW,
    pool: Pool | None = None,
) -> ShardSet:
    """Make the shard set `out` of one or more genome stores (each an assembly), cut into windows of `window` bases.

    Splits come from the BED file, or from the rule (one of RULES). `pool` compares blocks and writes shards (by default
    in this process; its workers must see this machine's files), and does not affect a byte of them. Raises InputError
    if two stores share an assembly name, if no train window is left, and if `out` exists; then nothing is written.
    """
    if not 1 <= window < MAX_WINDOW:
        raise InputError(f"--window {window}: want 1 to {MAX_WINDOW - 1:,} bases")
    if rule not in RULES:
        raise InputError(f"--split-by {rule}: want {', '.join(RULES[:-1])} or {RULES[-1]}")
    with staging(out, FORMAT.noun) as folder:
        stores = open_stores(store_urls)
        plan = _plan(_stretches(stores, bed, rule, window, pool), stores, window)
        with progress(sum(w.distinct for w in plan.windows), "writing shards", "bases") as advance, followed(advance):
            index = SetIndex(folder) if len(plan.windows) > _MAX_WINDOWS_IN_MANIFEST else None
            shards, totals = _write(plan.windows, stores, folder, index, pool or InThisProcess())
        provenance = _provenance(store_urls, stores, bed, rule, window, plan.dropped)
        body = manifest_body(window, shards, totals, provenance)
        files = {shard.url: FileEntry(shard.bytes, shard.sha256) for shard in shards} | (index.files if index else {})
        # By the reader's own rules, before anybody can see the set: a committed one that is refused helps nobody.
        place = str(folder) if index else out
        made = shard_set(parse_manifest(manifest_bytes(FORMAT, body, files), place, FORMAT))
        for problem in problems_among(SetWindows(made.shards), made) if index else ():
            raise InputError(problem)
        publish(folder, out, FORMAT, body, files)
    return load_shard_set(out) if index else made


def open_stores(store_urls: Sequence[str]) -> dict[str, GenomeStore]:
    """Open the stores, by assembly name. Raises InputError when two share a name, or a store has no A, C, G or T."""
    stores: dict[str, GenomeStore] = {}
    for url in store_urls:
        store = GenomeStore.open(url)
        if store.assembly in stores:
            other = stores[store.assembly].url
            raise InputError(f"{url}: assembly {store.assembly!r} is also in {other}: remake one with --assembly NAME")
        if not store.attributes.counts.ACGT:
            raise InputError(f"{url}: contains no A, C, G or T: nothing to learn from")
        stores[store.assembly] = store
    return stores


def _stretches(stores: Stores, bed: str | None, rule: str, window: int, pool: Pool | None) -> list[Stretch]:
    if bed is not None:
        return read_bed(bed, stores)
    if rule == "similarity":
        return split_by_similarity(stores, window, pool)
    return split_by_contig(stores) if rule == "contig" else split_by_hash(stores, window)


def _plan(stretches: list[Stretch], stores: Stores, window: int) -> _Plan:
    windows = cut(stretches, window)
    kept = keep_known(windows, stores)
    if not any(w.split == "train" for w in kept):
        names = ", ".join(store.url for store in stores.values())
        dropped = f"{len(windows) - len(kept)} of {len(windows)} windows were dropped: {DROP_RULE}"
        raise InputError(f"{names}: no train window is left ({dropped}); use other splits or a smaller --window")
    return _Plan(kept, len(windows) - len(kept))


def _write(
    windows: Sequence[Window], stores: Stores, folder: Path, index: SetIndex | None, pool: Pool
) -> tuple[list[ShardEntry | IndexedShard], dict[str, SplitTotals]]:
    """Write every shard, and the index if there is one; each shard depends on its windows alone, whoever writes it."""
    started = (
        pool.submit(write_shard, folder / f"{split}-{number:06d}.tar", group, _stores_of(group, stores))
        for split in SPLITS
        for number, group in enumerate(_groups(windows, split))
    )
    shards: list[ShardEntry | IndexedShard] = []
    tallies = {split: Tally() for split in SPLITS}
    for shard, tally in in_order(pool, started):
        shards.append(index.add(shard) if index else shard)
        tallies[shard.split].merge(tally)
    if index:
        index.close()
    return shards, {split: tally.totals() for split, tally in tallies.items()}


def _stores_of(windows: Sequence[Window], stores: Stores) -> dict[str, StoreRef]:
    return {assembly: (stores[assembly].url, stores[assembly].checksum) for assembly in {w.assembly for w in windows}}


def _groups(windows: Sequence[Window], split: str) -> list[list[Window]]:
    """The windows of a split, permuted by a hash of their number, in shards of about 64 Mi bases."""
    mine = [w for w in windows if w.split == split]
    order = np.argsort(hash64(np.array([w.number for w in mine], np.int64)), kind="stable")
    groups: list[list[Window]] = []
    room = 0
    for i in order.tolist():
        if room <= 0:
            groups.append([])
            room = _SHARD_BASES
        groups[-1].append(mine[i])
        room -= mine[i].end - mine[i].start
    return groups


def _provenance(
    store_urls: Sequence[str], stores: Stores, bed: str | None, rule: str, window: int, dropped: int
) -> Provenance:
    names = [url.rstrip("/").rsplit("/", 1)[-1] for url in store_urls]
    splits = ["--splits", bed.rsplit("/", 1)[-1]] if bed is not None else ["--split-by", rule]
    given = zip(names, stores.values(), strict=True)
    return Provenance(
        stores=[
            StoreOrigin(name, store.assembly, store.checksum, store.accession, store.identifiers)
            for name, store in given
        ],
        command=" ".join(["hdna prep shards", *names, *splits, "--window", str(window)]),
        splits={"bed_sha256": describe_file(storage.local_path(bed)).sha256} if bed else {"rule": rule},
        dropped=Dropped(dropped, DROP_RULE),
        hdna=hdna.__version__,
    )
