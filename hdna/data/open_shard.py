"""A shard open for reading: admitted once, then watched for changes. The door to WebDataset.

On admission the WebDataset library's own reader walks the tar, and every member is compared with the manifest. The
library gets an open file, never a URL (it would run `pipe:` ones), and decodes nothing.
"""

import os
from collections.abc import Iterator
from io import BufferedReader

import numpy as np
import numpy.typing as npt

from hdna.errors import InputError
from hdna.genome.shard import MASK_FIELD, SEQUENCE_FIELD, SampleEntry, ShardEntry
from hdna.genome.shard_check import Bytes, Member, crc32c, shard_problems
from hdna.storage.local import file_version

_ADVICE = "make the set again, or copy it again"


class OpenShard:
    """One shard's file. Raises InputError when it does not hold what its manifest lists.

    It is read, not mapped: a mapped file that somebody truncates ends the process with SIGBUS.
    """

    def __init__(self, file: BufferedReader, url: str, shard: ShardEntry) -> None:
        self._file = file
        self._url = url
        self._version = file_version(file)
        self.read_since_check = np.zeros(len(shard.samples), np.int64)
        """Bases read from each window since it was last compared with its checksum; the reader counts."""
        for problem in shard_problems(shard, self._read, _members(file)):
            raise InputError(f"{url}: {problem}: {_ADVICE}")

    def changed(self) -> bool:
        """Whether somebody has written to the file since it was admitted."""
        return file_version(self._file) != self._version

    def read_into(self, row: npt.NDArray[np.uint8], start: int) -> None:
        """Fill `row` with the bytes from `start` on. Raises InputError where the file ends too soon."""
        done = 0
        while done < row.size:  # the system may return less than was asked for, and never more than 2 GiB
            try:
                count = os.preadv(self._file.fileno(), [row.data[done:]], start + done)
            except OSError as error:
                raise InputError(f"{self._url}: cannot be read ({error.strerror or error}): {_ADVICE}") from None
            if not count:
                raise InputError(f"{self._url}: was truncated while it was in use: {_ADVICE}")
            done += count

    def check(self, sample: SampleEntry) -> None:
        """Compare a window's bytes with their checksums. Raises InputError when they have changed."""
        arrays = ((SEQUENCE_FIELD, sample.offset, sample.crc32c), (MASK_FIELD, sample.mask_offset, sample.mask_crc32c))
        for field, offset, checksum in arrays:
            if offset is not None and crc32c(self._read(offset, sample.end - sample.start)) != checksum:
                raise InputError(f"{self._url}: {sample.key}.{field} has changed since it was admitted: {_ADVICE}")

    def _read(self, start: int, length: int) -> Bytes:
        data = np.empty(length, np.uint8)
        self.read_into(data, start)
        return data


def _members(file: BufferedReader) -> Iterator[Member]:
    os.environ.setdefault("WDS_SECURE", "1")
    from webdataset.tariterators import tar_file_iterator

    for member in tar_file_iterator(file):
        yield member["fname"], member["data"]
