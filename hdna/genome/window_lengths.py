"""`lengths.npy` of a large shard set: how many windows of which length each shard has.

It tells how many crops each shard has at any context length, which is all that finding a step needs to know about the
whole set. It is read in blocks each time, so that memory does not grow with the number of windows.

The array (N, 2) is little-endian uint32, its header 128 bytes: for each shard, in the manifest's order, each length of
its windows (less one: the bases that can be predicted) and how many windows have it.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hdna import storage
from hdna.errors import InputError
from hdna.genome.set_windows import IntArray
from hdna.genome.shard import SampleEntry, ShardEntry
from hdna.storage.manifest import FileEntry, Manifest, describe_bytes

LENGTHS: Final = "lengths.npy"
_ROW: Final = np.dtype("<u4")
_ROW_BYTES: Final = 8
_HEADER_BYTES: Final = 128

Rows = npt.NDArray[np.uint32]


def lengths_of(samples: Sequence[SampleEntry]) -> Rows:
    """A shard's rows."""
    lengths, windows = np.unique([sample.end - sample.start - 1 for sample in samples], return_counts=True)
    return np.stack([lengths, windows], axis=1).astype(_ROW)


def lengths_bytes(shards: Sequence[Rows]) -> bytes:
    """The file of all shards' rows."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.concatenate(shards), version=(1, 0), allow_pickle=False)
    return file.getvalue()


class _Block(NamedTuple):
    """Some rows of the file, and where those of each shard begin."""

    shards: slice
    begins: IntArray
    predicted: IntArray
    windows: IntArray


class WindowLengths:
    """The file beside a manifest, for `shards` in its order.

    Raises InputError when it is missing or damaged, or contradicts the manifest.
    """

    def __init__(self, manifest: Manifest, window: int, shards: Sequence[ShardEntry]) -> None:
        self._url = storage.join(manifest.url, LENGTHS)
        self._entry = manifest.files[LENGTHS]
        self._advice = manifest.format.damaged
        self._ends = np.cumsum([len(shard.samples) for shard in shards])
        self.bases, self.longest = self._summary(window)
        """Of each shard: the bases of its windows, and of its longest one."""
        for shard, bases in zip(shards, self.bases.tolist(), strict=True):
            if bases > shard.bytes or not bases - len(shard.samples) <= shard.bases <= bases:
                raise self._refusal(f"its lengths are not those of {shard.bases} bases in {shard.url}")

    def crops(self, context_length: int) -> IntArray:
        """Crops of each shard in an epoch. Reads the file."""
        crops = np.zeros(len(self._ends), np.int64)
        for block in self._blocks():
            of_rows = block.predicted // context_length * block.windows
            crops[block.shards] += np.add.reduceat(of_rows, block.begins)
        return crops

    def differ_from(self, shards: Sequence[ShardEntry]) -> bool:
        """Whether the windows of the shards have other lengths. Reads every part of the index."""
        return describe_bytes(lengths_bytes([lengths_of(shard.samples) for shard in shards])) != self._entry

    def _summary(self, window: int) -> tuple[IntArray, IntArray]:
        bases, longest = np.zeros((2, len(self._ends)), np.int64)
        for block in self._blocks():
            if min(block.predicted.min(), block.windows.min()) < 1 or block.predicted.max() > window:
                raise self._refusal(f"it has windows of other than 2 to {window + 1} bases")
            lengths, shards = block.predicted + 1, block.shards
            bases[shards] += np.add.reduceat(lengths * block.windows, block.begins)
            longest[shards] = np.maximum(longest[shards], np.maximum.reduceat(lengths, block.begins))
        return bases, longest

    def _blocks(self) -> Iterator[_Block]:
        done = 0
        for rows in self._rows():
            windows = rows[:, 1].astype(np.int64)
            ends = done + np.cumsum(windows)
            first, finished = np.searchsorted(self._ends, [done, ends[-1]], side="right").tolist()
            stops = np.searchsorted(ends, self._ends[first:finished])
            begins = np.append(0, stops + 1)
            begins = begins[begins < len(rows)]
            if (ends[stops] != self._ends[first:finished]).any() or first + len(begins) > len(self._ends):
                raise self._refusal("its windows are not those of the shards")
            done = int(ends[-1])
            yield _Block(slice(first, first + len(begins)), begins, rows[:, 0].astype(np.int64), windows)
        if done != self._ends[-1:].sum():
            raise self._refusal("its windows are not those of the shards")

    def _rows(self) -> Iterator[Rows]:
        """Rows as they come; what was made of them may be used only once this has ended without an error."""
        header, left = _header((self._entry.bytes - _HEADER_BYTES) // _ROW_BYTES), b""
        for block in self._read():
            left += block
            if header and len(left) >= _HEADER_BYTES:
                if not left.startswith(header):
                    raise self._refusal("it is not the .npy file that its size says")
                header, left = b"", left[_HEADER_BYTES:]
            whole = 0 if header else len(left) // _ROW_BYTES
            if whole:
                yield np.frombuffer(left, _ROW, 2 * whole).reshape(-1, 2)
                left = left[whole * _ROW_BYTES :]
        if left:
            raise self._refusal("it ends within a row")

    def _read(self) -> Iterator[bytes]:
        """Its bytes; raises at their end when they are not those of the manifest."""
        digest, count = hashlib.sha256(), 0
        try:
            for block in storage.read_blocks(self._url):
                digest.update(block)
                count += len(block)
                yield block
        except FileNotFoundError:
            raise InputError(f"{self._url} is missing: {self._advice}") from None
        if FileEntry(count, digest.hexdigest()) != self._entry:
            raise self._refusal("it does not have the bytes and sha256 its manifest says")

    def _refusal(self, why: str) -> InputError:
        return InputError(f"{self._url}: {why}: {self._advice}")


def _header(rows: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": _ROW.str, "fortran_order": False, "shape": (rows, 2)})
    return file.getvalue()
