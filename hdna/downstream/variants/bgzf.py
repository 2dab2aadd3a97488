"""Bytes as bgzip writes them: gzip members of at most 64 KiB that say their size, so that tabix can jump among them.

Format: the SAM specification, section 4.1.
"""

import zlib
from typing import Final

END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a file; without it, readers take the file for truncated."""

_HEAD = bytes.fromhex("1f8b08040000000000ff060042430200")
_AROUND = len(_HEAD) + 2 + 8
"""Bytes of a block that are not deflated text: head, size, checksum and length."""
_BLOCK = 0xFF00
"""Bytes of text in a block: what does not compress still fits, with what deflate adds to it."""
_LEVEL = 6


def compressed(text: bytes) -> bytes:
    """Blocks of the text. Several texts' blocks may follow one another; END belongs after the last."""
    return b"".join(_block(text[start : start + _BLOCK]) for start in range(0, len(text), _BLOCK))


def _block(text: bytes) -> bytes:
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(text) + deflate.flush()
    size = (len(body) + _AROUND - 1).to_bytes(2, "little")
    return b"".join([_HEAD, size, body, zlib.crc32(text).to_bytes(4, "little"), len(text).to_bytes(4, "little")])
