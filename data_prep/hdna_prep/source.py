"""Reads a text file, plain, gzip or bgzip, detected by its first bytes and not by name, in bounded memory."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hdna import storage
from hdna.errors import InputError
from hdna.storage.os_errors import os_errors_explained

BLOCK_BYTES = 1 << 18
_GZIP = b"\x1f\x8b"
_GZIP_PIECE_BYTES = 1 << 16
_GZIP_EXTRA = 1 << 2
"""The flag, in byte 3, that an extra field follows the header's ten bytes."""
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_ARCHIVES = (
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1aE\xdf\xa3", "a binary file"),
    (b"\x43\x27\x41\x1a", "UCSC .2bit (use twoBitToFa)"),
)


class Source:
    """One local file, read once from start to end.

    `on_read` is called with the number of raw bytes after each piece, for a progress bar. `sha256` (of the file on
    disk) is final once `blocks` has ended.
    """

    def __init__(self, url: str, on_read: Callable[[float], None] = lambda count: None) -> None:
        self.path: Path = storage.local_path(url)
        self.name = url
        self._on_read = on_read
        self._digest = hashlib.sha256()
        with os_errors_explained(url):
            if self.path.is_dir():
                raise InputError(f"{url}: is a directory: want a file")
            if not self.path.exists():
                raise InputError(f"{url}: no such file: see whether the path is right")
            if not self.path.is_file():
                raise InputError(f"{url}: is a pipe or a device: want a file, since it may be read twice")

    @property
    def sha256(self) -> str:
        """Checksum of the raw bytes read so far."""
        return self._digest.hexdigest()

    @property
    def size(self) -> int:
        """Raw bytes of the file."""
        return self.path.stat().st_size

    def blocks(self) -> Iterator[bytes]:
        """Yield the decompressed text in blocks of about 256 KiB (which stay in a core's cache).

        Raises InputError when the file cannot be read, or its compressed data are damaged or truncated.
        """
        try:
            with self.path.open("rb") as file:
                magic = file.read(8)
                file.seek(0)
                for mark, what in _ARCHIVES:
                    if magic.startswith(mark):
                        raise InputError(
                            f"{self.name}:1:1: is {what}: decompress it, or compress it with gzip or bgzip"
                        )
                if magic.startswith(_GZIP):
                    yield from _gathered(self._inflated(self._raw(file.read, _GZIP_PIECE_BYTES)))
                else:
                    yield from self._raw(file.read, BLOCK_BYTES)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read: {error.strerror or error}") from None

    def _raw(self, read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
        while piece := read(size):
            self._digest.update(piece)
            self._on_read(len(piece))
            yield piece

    def _inflated(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Inflate the members of a gzip file in turn. Output is capped, so a small bomb cannot fill memory."""
        inflater, members, tail, bgzip = zlib.decompressobj(31), 0, b"", False
        begun = False
        for piece in pieces:
            bgzip = bgzip or (not tail and _is_bgzip(piece))
            tail = (tail + piece)[-len(_BGZIP_END) :]
            full = False
            while piece or full:
                begun = True
                try:
                    text = inflater.decompress(piece, BLOCK_BYTES)
                except zlib.error as error:
                    raise InputError(self._gzip_fault(error, members)) from None
                if text:
                    yield text
                piece, full = inflater.unconsumed_tail, len(text) == BLOCK_BYTES
                if inflater.eof:
                    piece, full, begun = inflater.unused_data, False, False
                    inflater, members = zlib.decompressobj(31), members + 1
        if begun or (bgzip and tail != _BGZIP_END):
            raise InputError(f"{self.name}: truncated gzip: the file ends early; copy or download it again")

    def _gzip_fault(self, error: zlib.error, members: int) -> str:
        if members and "incorrect header" in str(error):
            return f"{self.name}: trailing garbage after the gzip data: the file is damaged; copy or download it again"
        return f"{self.name}: damaged gzip data ({error}); copy or download it again"


def _is_bgzip(start: bytes) -> bool:
    """Whether a gzip file has bgzip's extra field; elsewhere its name may stand at the same place."""
    return start[12:14] == b"BC" and bool(start[3] & _GZIP_EXTRA)


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger blocks: bgzip's members have only 64 KiB."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
