"""What the manifest of a shard set says of itself, held together: `prep verify` and training refuse the same sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hdna.genome.npy import HEADER_BYTES
from hdna.genome.set_windows import SetWindows
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
    yield from files_and_names(shards, files)
    for shard in shards:
        yield from (f"{shard.url}: {problem}" for problem in sample_problems(shard.samples, window, shard.bytes))
    yield from window_problems(SetWindows(shards))
    yield from wrong_totals(shards, totals)


def window_problems(windows: SetWindows) -> Iterator[str]:
    """What only all windows of a set together contradict."""
    yield from windows.repeated_keys()
    yield from windows.overlaps()
    yield from windows.wrong_bases()


def sample_problems(samples: Sequence[SampleEntry], window: int, shard_bytes: int) -> Iterator[str]:
    """Windows that have no place in the set or in a shard of that size."""
    for sample in samples:
        if problem := _sample(sample, window, shard_bytes):
            yield f"{sample.key}: {problem}"


def files_and_names(shards: Sequence[ShardEntry], files: Mapping[str, FileEntry]) -> Iterator[str]:
    """Where shards, their names and the table of files differ."""
    listed = {shard.url: FileEntry(shard.bytes, shard.sha256) for shard in shards}
    if listed != files:
        yield "its shards and its file table differ"
    names = [f"{split}-{number:06d}.tar" for split in SPLITS for number in range(sum(s.split == split for s in shards))]
    if [shard.url for shard in shards] != names:
        yield "its shards are not named by split and number, in order"


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


def wrong_totals(shards: Sequence[ShardEntry], totals: Mapping[str, SplitTotals]) -> Iterator[str]:
    """Splits whose totals are not those of their shards."""
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
