"""What the manifest of a shard set says of itself, held together: `prep verify` and training refuse the same sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hdna.genome.npy import HEADER_BYTES
from hdna.genome.shard import SPLITS, SampleEntry, ShardEntry
from hdna.storage.manifest import FileEntry
from hdna.storage.untrusted_json import Count

COUNTED: Final = ("A", "C", "G", "T", "N", "other", "soft_masked")


@dataclass(frozen=True)
class SplitTotals:
    """The contents of one split."""

    windows: Count
    bases: Count
    counts: dict[str, Count]
    """Distinct bases by letter (A, C, G with T for U; other: ambiguity codes), and how many are soft-masked."""


def contradictions(
    window: int,
    shards: Sequence[ShardEntry],
    totals: Mapping[str, SplitTotals],
    files: Mapping[str, FileEntry],
) -> Iterator[str]:
    """Where windows, shards, totals and files of a manifest do not fit together, in words."""
    yield from _files(shards, files)
    yield from _keys(shards)
    for shard in shards:
        for sample in shard.samples:
            if problem := _sample(sample, window, shard.bytes):
                yield f"{shard.url}: {sample.key}: {problem}"
    yield from _overlaps(shards)
    distinct = distinct_bases(shards)
    for shard in shards:
        if shard.bases != sum(distinct[sample.key] for sample in shard.samples):
            yield f"{shard.url}: its {shard.bases} bases are not what its windows add up to"
    yield from _totals(shards, totals)


def distinct_bases(shards: Sequence[ShardEntry]) -> dict[str, int]:
    """Bases of each window by its key, not counting one shared with the next window of its split."""
    windows = [
        (sample.assembly, sample.contig, sample.start, sample.end, shard.split, sample.key)
        for shard in shards
        for sample in shard.samples
    ]
    starts = {(assembly, contig, start, split) for assembly, contig, start, _, split, _ in windows}
    return {
        key: end - start - int((assembly, contig, end - 1, split) in starts)
        for assembly, contig, start, end, split, key in windows
    }


def _files(shards: Sequence[ShardEntry], files: Mapping[str, FileEntry]) -> Iterator[str]:
    listed = {shard.url: FileEntry(shard.bytes, shard.sha256) for shard in shards}
    if listed != files:
        yield "its shards and its file table differ"
    names = [f"{split}-{number:06d}.tar" for split in SPLITS for number in range(sum(s.split == split for s in shards))]
    if [shard.url for shard in shards] != names:
        yield "its shards are not named by split and number, in order"


def _keys(shards: Sequence[ShardEntry]) -> Iterator[str]:
    seen: set[str] = set()
    for shard in shards:
        for sample in shard.samples:
            if sample.key in seen:
                yield f"{shard.url}: key {sample.key} is used twice"
            seen.add(sample.key)


def _sample(sample: SampleEntry, window: int, shard_bytes: int) -> str | None:
    length = sample.end - sample.start
    if not 2 <= length <= window + 1:
        return f"{length} bases, but the set's windows have 2 to {window + 1}"
    offsets = [sample.offset] if sample.mask_offset is None else [sample.offset, sample.mask_offset]
    if not all(HEADER_BYTES <= offset <= shard_bytes - length for offset in offsets):
        return "its data lie outside the shard"
    if (sample.mask_offset is None) != (sample.mask_crc32c is None):
        return "its mask has an offset or a checksum alone"
    return None


def _overlaps(shards: Sequence[ShardEntry]) -> Iterator[str]:
    """Neighbours of one split share one base; no base belongs to two splits."""
    windows = sorted(
        (sample.assembly, sample.contig, sample.start, sample.end, shard.split, sample.key)
        for shard in shards
        for sample in shard.samples
    )
    lane, reach, last_split, last_key = ("", ""), -1, "", ""
    for assembly, contig, start, end, split, key in windows:
        if (assembly, contig) != lane:
            lane, reach, last_split = (assembly, contig), -1, ""
        if start < reach - int(split == last_split):
            yield f"windows {last_key} ({last_split}) and {key} ({split}) overlap on {contig} of {assembly}"
        if end > reach:
            reach, last_split, last_key = end, split, key


def _totals(shards: Sequence[ShardEntry], totals: Mapping[str, SplitTotals]) -> Iterator[str]:
    for split in sorted({shard.split for shard in shards} - set(totals)):
        yield f"totals of {split} are missing"
    for split, said in totals.items():
        windows = sum(len(shard.samples) for shard in shards if shard.split == split)
        bases = sum(shard.bases for shard in shards if shard.split == split)
        if (said.windows, said.bases) != (windows, bases):
            yield f"totals of {split} are not its {windows} windows and {bases} bases"
        counts = dict(said.counts)
        masked = counts.pop("soft_masked", -1)
        if set(said.counts) != set(COUNTED) or sum(counts.values()) != bases or not 0 <= masked <= bases:
            yield f"counts of {split} do not add up to its bases"
