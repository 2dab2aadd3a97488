"""What a shard holds, compared with its manifest entry: the check of `prep verify` and of training's admission."""

import tarfile
from collections.abc import Callable, Iterable, Iterator

import google_crc32c
import numpy as np
import numpy.typing as npt

from hdna.genome import alphabet
from hdna.genome.npy import HEADER_BYTES, npy_data
from hdna.genome.shard import MASK_FIELD, META_FIELD, SEQUENCE_FIELD, SampleEntry, ShardEntry, sample_metadata

Bytes = npt.NDArray[np.uint8]
_BLOCK_BYTES, _RECORD_BYTES = 512, 10240
"""Of a tar: members begin at blocks, and the file ends after two empty ones, at a whole record."""
TAR_ERRORS = (tarfile.TarError, OSError, EOFError, ValueError, LookupError, ArithmeticError)
"""What tar readers raise on damaged files."""
Member = tuple[str, bytes]
"""Name and content of a file in a tar."""


def crc32c(data: bytes | Bytes | npt.NDArray[np.bool_]) -> int:
    """The checksum that guards a window's tokens or mask whenever they are read."""
    return int(google_crc32c.value(data))


def shard_problems(shard: ShardEntry, read: Callable[[int, int], Bytes], members: Iterable[Member]) -> Iterator[str]:
    """How a shard differs from its manifest entry, in words; ends at the first sample that differs.

    `read(offset, length)`: bytes of the tar, for the manifest's offsets. `members`: its files, as a tar reader finds
    them; it is asked for none before the tar's own bytes name it, so that it never unpacks a compressed file.
    """
    try:
        yield from _compare(shard, read, iter(members))
    except TAR_ERRORS as error:
        yield f"not a complete tar: {error}"


def _compare(shard: ShardEntry, read: Callable[[int, int], Bytes], members: Iterator[Member]) -> Iterator[str]:
    place = 0
    for sample in shard.samples:
        for field, offset, checksum in _fields(sample):
            name = f"{sample.key}.{field}"
            header = name.encode() + b"\0"
            if place + _BLOCK_BYTES > shard.bytes or read(place, len(header)).tobytes() != header:
                yield f"{name} is not where the manifest's samples, in order, have it"
                return
            found, content = next(members, ("", b""))
            place += _BLOCK_BYTES
            if found != name:
                yield f"{name} is not what a tar reader finds there"
                return
            if offset is None or checksum is None:
                problem = _metadata_problem(content, sample, shard.split)
            elif offset != place + HEADER_BYTES:
                problem = f"its {field} data are not at the manifest's offset"
            else:
                problem = _array_problem(field, content, read(offset, sample.end - sample.start), checksum)
            if problem:
                yield f"{sample.key}: {problem}"
                return
            place -= -len(content) // _BLOCK_BYTES * _BLOCK_BYTES
    end = -(-(place + 2 * _BLOCK_BYTES) // _RECORD_BYTES) * _RECORD_BYTES
    if end != shard.bytes or read(place, end - place).any() or next(members, None) is not None:
        yield "does not end after the manifest's samples"


def _fields(sample: SampleEntry) -> Iterator[tuple[str, int | None, int | None]]:
    """A sample's members, in order: field, offset and checksum; the metadata have none."""
    yield META_FIELD, None, None
    yield SEQUENCE_FIELD, sample.offset, sample.crc32c
    if sample.mask_offset is not None:
        yield MASK_FIELD, sample.mask_offset, sample.mask_crc32c


def _metadata_problem(member: bytes, sample: SampleEntry, split: str) -> str | None:
    expected = sample_metadata(sample.assembly, sample.contig, sample.start, sample.end, split)
    return None if member == expected else f"its {META_FIELD} member differs from the manifest"


def _array_problem(field: str, member: bytes, array: Bytes, checksum: int) -> str | None:
    """What is wrong with an array's member; `array`: the bytes that a reader would take for it."""
    try:
        begin, length = npy_data(member, "|b1" if field == MASK_FIELD else "|u1")
    except ValueError as error:
        return f"its {field} member is damaged: {error}"
    if length != array.size or member[begin:] != array.tobytes():
        return f"its {field} data are not the window's bytes at the manifest's offset"
    if crc32c(array) != checksum:
        return f"its {field} data do not have the crc32c of the manifest"
    low, high = (0, 1) if field == MASK_FIELD else (alphabet.UNK, alphabet.N)
    if array.size and not low <= int(array.min()) <= int(array.max()) <= high:
        return f"its {field} data hold bytes other than {low} to {high}"
    return None
