"""Looks at a zstd frame before it is decompressed: a chunk of some KB may ask for gigabytes."""

_MAGIC = bytes.fromhex("28b52ffd")
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_REPEATED_BYTE, _RESERVED = 1, 3


def check_frame(frame: bytes, most: int) -> None:
    """Raise ValueError unless `frame` is exactly one zstd frame (RFC 8878) that says it holds at most `most` bytes.

    A frame that does not say its size, and a second frame behind the first, are refused too: what they hold is known
    only when it is in memory.
    """
    try:
        size, place, checksum = _header(frame)
        if size > most:
            raise ValueError(f"a zstd frame asks for {size} bytes, a chunk has at most {most}")
        end = _end_of_blocks(frame, place) + checksum
    except IndexError:
        raise ValueError("a zstd frame is cut short") from None
    if end != len(frame):
        raise ValueError(f"a zstd frame ends at byte {end} of {len(frame)}")


def _header(frame: bytes) -> tuple[int, int, int]:
    """Size of the content, where the blocks begin, and bytes of the checksum behind them."""
    if frame[:4] != _MAGIC:
        raise ValueError("not a zstd frame")
    descriptor = frame[4]
    single_segment = descriptor >> 5 & 1
    size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    if not size_bytes:
        raise ValueError("a zstd frame does not say how much it holds")
    place = 5 + (1 - single_segment) + _DICTIONARY_ID_BYTES[descriptor & 3]
    field = frame[place : place + size_bytes]
    if len(field) < size_bytes:
        raise IndexError
    # A field of two bytes counts from 256.
    size = int.from_bytes(field, "little") + (256 if size_bytes == 2 else 0)
    return size, place + size_bytes, 4 * (descriptor >> 2 & 1)


def _end_of_blocks(frame: bytes, place: int) -> int:
    last = False
    while not last:
        header = frame[place] | frame[place + 1] << 8 | frame[place + 2] << 16
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind == _RESERVED:
            raise ValueError("a zstd frame has a block of no known type")
        place += 3 + (1 if kind == _REPEATED_BYTE else size)
    return place
