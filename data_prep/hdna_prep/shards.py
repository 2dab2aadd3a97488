"""Genome stores to shard set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import hdna
from hdna import commit, storage
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.hashing import hash64
from hdna.genome.packing import Bytes, Flags
from hdna.genome.shard import COUNTED, SPLITS, ShardEntry, ShardSet, SplitTotals, load_shard_set, manifest_body
from hdna.genome.store import GenomeStore
from hdna.progress import Advance, progress
from hdna.staging import publish, staging
from hdna_prep.splits import Stores, Stretch, read_bed, split_by_contig, split_by_hash
from hdna_prep.tar import shard_file
from hdna_prep.windows import DROP_RULE, Window, cut, keep_known

KIND = "shard set"
DEFAULT_WINDOW = 1 << 20
RULES = ("hash", "contig")
_SHARD_BASES = 1 << 26


@dataclass(frozen=True)
class _Plan:
    """The windows of a set, and how many were dropped."""

    windows: list[Window]
    dropped: int


def write_shards(
    store_urls: Sequence[str], out: str, bed: str | None = None, rule: str = "hash", window: int = DEFAULT_WINDOW
) -> ShardSet:
    """Make the shard set `out` of one or more genome stores (each an assembly), cut into windows of `window` bases.

    Splits come from the BED file, or from the rule ("hash" or "contig"). Raises InputError when two stores share an
    assembly name, when no train window is left, and when something stands at `out`; then nothing is written.
    """
    if window < 1:
        raise InputError(f"--window {window}: want at least 1 base")
    if rule not in RULES:
        raise InputError(f"--split-by {rule}: want {' or '.join(RULES)}")
    with staging(out, KIND) as folder:
        stores = open_stores(store_urls)
        plan = _plan(_stretches(stores, bed, rule, window), stores, window)
        totals = {split: _Tally() for split in SPLITS}
        with progress(sum(w.distinct for w in plan.windows), "writing shards", "bases") as advance:
            shards = [
                _write_shard(folder / f"{split}-{number:06d}.tar", group, stores, totals[split], advance)
                for split in SPLITS
                for number, group in enumerate(_groups(plan.windows, split))
            ]
        provenance = _provenance(store_urls, stores, bed, rule, window, plan.dropped)
        body = manifest_body(window, shards, {split: tally.totals() for split, tally in totals.items()}, provenance)
        files = {shard.url: commit.FileEntry(shard.bytes, shard.sha256) for shard in shards}
        publish(folder, out, KIND, body, files)
    return load_shard_set(out)


def open_stores(store_urls: Sequence[str]) -> dict[str, GenomeStore]:
    """The stores by assembly name. Raises InputError when two are of one name or a store holds nothing but N."""
    stores: dict[str, GenomeStore] = {}
    for url in store_urls:
        store = GenomeStore.open(url)
        if store.assembly in stores:
            other = stores[store.assembly].url
            raise InputError(f"{url}: assembly {store.assembly!r} is also {other}: make one again with --assembly NAME")
        if not store.attributes["counts"]["ACGT"]:
            raise InputError(f"{url}: there is no A, C, G or T in it: nothing to learn from")
        stores[store.assembly] = store
    return stores


def _stretches(stores: Stores, bed: str | None, rule: str, window: int) -> list[Stretch]:
    if bed is not None:
        return read_bed(bed, stores)
    return split_by_contig(stores) if rule == "contig" else split_by_hash(stores, window)


def _plan(stretches: list[Stretch], stores: Stores, window: int) -> _Plan:
    windows = cut(stretches, window)
    kept = keep_known(windows, stores)
    if not any(w.split == "train" for w in kept):
        names = ", ".join(store.url for store in stores.values())
        dropped = f"{len(windows) - len(kept)} of {len(windows)} windows were dropped: {DROP_RULE}"
        raise InputError(f"{names}: no train window is left ({dropped}); give other splits or a smaller --window")
    return _Plan(kept, len(windows) - len(kept))


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


def _write_shard(path: Path, windows: list[Window], stores: Stores, tally: "_Tally", advance: Advance) -> ShardEntry:
    """Read a shard's windows in the order of the genome (each chunk of the store once), write them in their own."""
    arrays: dict[int, tuple[Bytes, Flags]] = {}
    for window in sorted(windows, key=lambda w: w.number):
        store = stores[window.assembly]
        arrays[window.number] = store.read(window.interval), store.read_mask(window.interval)
    with shard_file(path) as shard:
        for window in windows:
            tokens, mask = arrays.pop(window.number)
            shard.add(window, tokens, mask)
            tally.add(tokens[: window.distinct], mask[: window.distinct])
            advance(window.distinct)
    entry = commit.describe(path)
    bases = sum(window.distinct for window in windows)
    return ShardEntry(path.name, entry.bytes, entry.sha256, windows[0].split, bases, shard.samples)


class _Tally:
    """Counts what a split holds."""

    def __init__(self) -> None:
        self._windows = 0
        self._by_token: npt.NDArray[np.int64] = np.zeros(256, np.int64)
        self._soft_masked = 0

    def add(self, tokens: Bytes, mask: Flags) -> None:
        """Count a window's distinct bases."""
        self._windows += 1
        self._by_token += np.bincount(tokens, minlength=256)
        self._soft_masked += int(np.count_nonzero(mask))

    def totals(self) -> SplitTotals:
        """As the manifest says it."""
        ids = (alphabet.A, alphabet.C, alphabet.G, alphabet.T, alphabet.N, alphabet.UNK)
        numbers = [*(int(self._by_token[token]) for token in ids), self._soft_masked]
        return SplitTotals(self._windows, int(self._by_token.sum()), dict(zip(COUNTED, numbers, strict=True)))


def _provenance(
    store_urls: Sequence[str], stores: Stores, bed: str | None, rule: str, window: int, dropped: int
) -> dict[str, Any]:
    """Where the set came from: base names only, so that no path of this machine leaves it."""
    names = [url.rstrip("/").rsplit("/", 1)[-1] for url in store_urls]
    splits = ["--splits", bed.rsplit("/", 1)[-1]] if bed is not None else ["--split-by", rule]
    given = zip(names, stores.values(), strict=True)
    return {
        "stores": [{"name": n, "assembly": s.assembly, "manifest_sha256": s.checksum} for n, s in given],
        "command": " ".join(["hdna prep shards", *names, *splits, "--window", str(window)]),
        "splits": {"bed_sha256": commit.describe(storage.local_path(bed)).sha256} if bed else {"rule": rule},
        "dropped": {"windows": dropped, "rule": DROP_RULE},
        "hdna": hdna.__version__,
    }
