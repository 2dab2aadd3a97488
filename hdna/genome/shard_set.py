"""The shard set: tars of windows, and the manifest that says what is where.

The manifest is written last and names only files beside it: nothing in it can make a reader open another location or
run a command.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Annotated, Any, Final

from hdna import storage
from hdna.errors import InputError
from hdna.genome.identity import Accession, RefgetIdentifier
from hdna.genome.sample_parts import IndexedShard, SampleParts, index_problems
from hdna.genome.set_windows import SetWindows
from hdna.genome.shard import ShardEntry, Split
from hdna.genome.shard_layout import SplitTotals, contradictions, files_and_names, window_problems, wrong_totals
from hdna.genome.window_lengths import LENGTHS, WindowLengths
from hdna.storage.manifest import MANIFEST, Format, Manifest, read_manifest
from hdna.storage.untrusted_json import Count, Meta, Sha256, convert_json

FORMAT: Final = Format("hdna-shards", 2, "shard set")
MAX_WINDOW: Final = 1 << 32
"""Bases: positions within a window fit 32 bits."""


@dataclass(frozen=True)
class StoreOrigin:
    """A genome store that a set was made of."""

    name: str
    assembly: str
    manifest_sha256: Sha256
    accession: Accession | None = None
    contigs: dict[str, RefgetIdentifier] | None = None
    """The refget identifier of each contig; None of stores that do not have them."""


@dataclass(frozen=True)
class Dropped:
    """Windows left out, and the rule."""

    windows: Count
    rule: str


@dataclass(frozen=True)
class Provenance:
    """Where a set comes from: base names only, so that no path of a machine is published with it."""

    stores: list[StoreOrigin]
    command: str
    splits: dict[str, str]
    """The rule, or the BED file's sha256."""
    dropped: Dropped
    hdna: str
    """The version that wrote the set."""


@dataclass(frozen=True)
class ShardSet:
    """A shard set's manifest, validated."""

    url: str
    window: int
    shards: list[ShardEntry]
    totals: dict[str, SplitTotals]
    provenance: Provenance
    checksum: str
    """sha256 of the manifest, which identifies the whole set."""
    lengths: WindowLengths | None = field(default=None, compare=False, repr=False)
    """Of a large set, whose samples are not in memory."""

    def url_of(self, shard: ShardEntry) -> str:
        """URL of a shard."""
        return storage.join(self.url, shard.url)


@dataclass(frozen=True)
class _Common:
    """Fields of either form of the manifest, beside those of every manifest."""

    window: Annotated[int, Meta(ge=1, lt=MAX_WINDOW)]
    totals: dict[Split, SplitTotals]
    provenance: Provenance


@dataclass(frozen=True)
class _Body(_Common):
    shards: list[ShardEntry]


@dataclass(frozen=True)
class _IndexedBody(_Common):
    """Of a large set."""

    shards: list[IndexedShard]


def manifest_body(
    window: int,
    shards: Iterable[ShardEntry | IndexedShard],
    totals: dict[str, SplitTotals],
    provenance: Provenance,
) -> dict[str, Any]:
    """The manifest's JSON, without its file table."""
    return {
        "window": window,
        "shards": [asdict(shard) for shard in shards],
        "totals": {split: asdict(entry) for split, entry in totals.items()},
        "provenance": asdict(provenance),
    }


def load_shard_set(url: str) -> ShardSet:
    """Load the manifest of the shard set at `url`.

    Raises InputError when there is no committed set, or when anything in the manifest violates this format.
    """
    try:
        return shard_set(read_manifest(url, FORMAT))
    except FileNotFoundError:
        raise InputError(f"{url}: not a committed shard set: make one with 'hdna prep shards'") from None


def shard_set(manifest: Manifest) -> ShardSet:
    """The shard set that a manifest describes. Raises InputError when its parts contradict each other."""
    url = storage.join(manifest.url, MANIFEST)
    if LENGTHS in manifest.files:
        return _indexed_set(manifest, url)
    body = convert_json(manifest.body, _Body, url, FORMAT.damaged)
    for problem in contradictions(body.window, body.shards, body.totals, manifest.files):
        raise InputError(f"{url}: {problem}: {FORMAT.damaged}")
    return ShardSet(manifest.url, body.window, body.shards, body.totals, body.provenance, manifest.checksum)


def _indexed_set(manifest: Manifest, url: str) -> ShardSet:
    body = convert_json(manifest.body, _IndexedBody, url, FORMAT.damaged)
    parts = SampleParts(manifest, body.window)
    shards = [parts.shard(listed) for listed in body.shards]
    tars = {name: entry for name, entry in manifest.files.items() if name.endswith(".tar")}
    layout = (files_and_names(shards, tars), index_problems(body.shards, manifest.files))
    for problem in chain(*layout, wrong_totals(shards, body.totals)):
        raise InputError(f"{url}: {problem}: {FORMAT.damaged}")
    lengths = WindowLengths(manifest, body.window, shards)
    return ShardSet(manifest.url, body.window, shards, body.totals, body.provenance, manifest.checksum, lengths)


def problems_among(windows: SetWindows, shard_set: ShardSet) -> Iterator[str]:
    """What all windows of a large set together contradict: loading it, unlike other sets, does not compare them."""
    if not shard_set.lengths:
        return
    for problem in window_problems(windows):
        yield f"{storage.join(shard_set.url, MANIFEST)}: {problem}: {FORMAT.damaged}"
    if shard_set.lengths.differ_from(shard_set.shards):
        yield f"{storage.join(shard_set.url, LENGTHS)}: not the lengths of the windows: {FORMAT.damaged}"
