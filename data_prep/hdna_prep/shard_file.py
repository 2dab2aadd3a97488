"""A shard being written: a USTAR file with fixed times, owners and modes, so that equal samples give equal bytes."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hdna.genome.npy import HEADER_BYTES, npy_bytes
from hdna.genome.packing import Bytes, Flags
from hdna.genome.shard import MASK_FIELD, META_FIELD, SEQUENCE_FIELD, SampleEntry, key_of, sample_metadata
from hdna.genome.shard_check import crc32c
from hdna_prep.windows import Window


class ShardFile:
    """The tar; `samples` has the offsets of each window's arrays."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.samples: list[SampleEntry] = []

    def add(self, window: Window, tokens: Bytes, mask: Flags) -> None:
        """Write one sample: (length,) tokens and soft mask; no mask member if nothing is masked."""
        key = key_of(window.number)
        interval = (window.assembly, window.contig, window.start, window.end)
        self._member(f"{key}.{META_FIELD}", sample_metadata(*interval, window.split))
        offset = self._member(f"{key}.{SEQUENCE_FIELD}", npy_bytes(tokens)) + HEADER_BYTES
        mask_offset = mask_checksum = None
        if np.any(mask):
            mask_checksum = crc32c(mask)
            mask_offset = self._member(f"{key}.{MASK_FIELD}", npy_bytes(mask)) + HEADER_BYTES
        self.samples.append(SampleEntry(key, *interval, offset, crc32c(tokens), mask_offset, mask_checksum))

    def _member(self, name: str, data: bytes) -> int:
        """Write one member; return the byte of the tar where its data begin."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mode = 0o644
        begins = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(info, io.BytesIO(data))
        return begins


@contextmanager
def shard_file(path: Path) -> Iterator[ShardFile]:
    """A new shard at a local path."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        yield ShardFile(tar)
