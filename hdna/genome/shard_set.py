"""The shard set: tars of windows, and the manifest that says what is where.

The manifest is written last and names only files beside it: nothing in it can make a reader open another location or
run a command.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from hdna import storage
from hdna.errors import InputError
from hdna.genome.shard import ShardEntry, Split
from hdna.genome.shard_layout import SplitTotals, contradictions
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

    def url_of(self, shard: ShardEntry) -> str:
        """URL of a shard."""
        return storage.join(self.url, shard.url)


@dataclass(frozen=True)
class _Body:
    """The fields of the manifest, beside those of every manifest."""

    window: Annotated[int, Meta(ge=1, lt=MAX_WINDOW)]
    shards: list[ShardEntry]
    totals: dict[Split, SplitTotals]
    provenance: Provenance


def manifest_body(
    window: int, shards: Iterable[ShardEntry], totals: dict[str, SplitTotals], provenance: Provenance
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
    body = convert_json(manifest.body, _Body, url, FORMAT.damaged)
    for problem in contradictions(body.window, body.shards, body.totals, manifest.files):
        raise InputError(f"{url}: {problem}: {FORMAT.damaged}")
    return ShardSet(manifest.url, body.window, body.shards, body.totals, body.provenance, manifest.checksum)
