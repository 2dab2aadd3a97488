"""Inspects a zstd frame before decompression: a few KB may expand to gigabytes."""

_MAGIC = bytes.fromhex("28b52ffd")
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_REPEATED_BYTE, _RESERVED = 1, 3


def check_frame(frame: bytes, limit: int) -> None:
    """Raise ValueError unless `frame` is exactly one zstd frame (RFC 8878) that declares at most `limit` bytes.

    A frame of undeclared size, or a second frame after the first, is refused too: its size is known only once it is
    in memory.
    """
    try:
        size, position, checksum = _header(frame)
        if size > limit:
            raise ValueError(f"a zstd frame declares {size} bytes, but a chunk has at most {limit}")
        end = _end_of_blocks(frame, position) + checksum
    except IndexError:
        raise ValueError("a zstd frame is cut short") from None
    if end != len(frame):
        raise ValueError(f"a zstd frame ends at byte {end} of {len(frame)}")


def _header(frame: bytes) -> tuple[int, int, int]:
    """Content size, start of the blocks, and size of the checksum after them."""
    if frame[:4] != _MAGIC:
        raise ValueError("not a zstd frame")
    descriptor = frame[4]
    single_segment = descriptor >> 5 & 1
    size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    if not size_bytes:
        raise ValueError("a zstd frame does not declare its size")
    position = 5 + (1 - single_segment) + _DICTIONARY_ID_BYTES[descriptor & 3]
    field = frame[position : position + size_bytes]
    if len(field) < size_bytes:
        raise IndexError
    # A field of two bytes counts from 256.
    size = int.from_bytes(field, "little") + (256 if size_bytes == 2 else 0)
    return size, position + size_bytes, 4 * (descriptor >> 2 & 1)


def _end_of_blocks(frame: bytes, position: int) -> int:
    last = False
    while not last:
        header = frame[position] | frame[position + 1] << 8 | frame[position + 2] << 16
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind == _RESERVED:
            raise ValueError("a zstd frame has a block of unknown type")
        position += 3 + (1 if kind == _REPEATED_BYTE else size)
    return position
