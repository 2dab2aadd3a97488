"""A shard: a WebDataset tar of windows, and its entry in the shard set's manifest.

Per sample, in this order: `KEY.json` (assembly, contig, start, end, split), `KEY.seq.npy` (uint8 tokens), and
`KEY.mask.npy` (bool, if the window has soft-masked bases).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from hdna.storage.untrusted_json import Count, Meta, Sha256

SPLITS: Final = ("train", "valid", "test")
META_FIELD, SEQUENCE_FIELD, MASK_FIELD = "json", "seq.npy", "mask.npy"

Split = Annotated[str, Meta(pattern=r"^(train|valid|test)\Z")]
ShardName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.tar\Z")]
Crc32c = Annotated[int, Meta(ge=0, lt=1 << 32)]
MAX_SHARD_BYTES: Final = 1 << 40


@dataclass(frozen=True)
class SampleEntry:
    """One window's place in a shard."""

    key: Annotated[str, Meta(pattern=r"^w\d{9,15}\Z")]
    assembly: str
    contig: str
    start: Count
    end: Count
    offset: Count
    """Byte of the tar at which the window's end - start tokens begin, one byte each."""
    crc32c: Crc32c
    """Of the tokens."""
    mask_offset: Count | None
    """The same for its soft mask; None when nothing in the window is masked."""
    mask_crc32c: Crc32c | None


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One tar."""

    url: ShardName
    """Its name, beside the manifest."""
    bytes: Annotated[int, Meta(ge=0, le=MAX_SHARD_BYTES)]
    sha256: Sha256
    split: Split
    bases: Count
    """Distinct bases: a base shared by two neighbouring windows counts once."""
    samples: Sequence[SampleEntry]
    """In the tar's order; of a large set they are read when they are asked for."""


def key_of(number: int) -> str:
    """The key of window `number`; without dots, because WebDataset ends a key at its first one."""
    return f"w{number:09d}"


def sample_metadata(assembly: str, contig: str, start: int, end: int, split: str) -> bytes:
    """The bytes of a sample's `KEY.json`."""
    meta = {"assembly": assembly, "contig": contig, "start": start, "end": end, "split": split}
    return json.dumps(meta).encode()
