"""The tokens of several sequences as bytes, for the way to another process: how many, their lengths, all tokens."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def pack(tokens: Sequence[Bytes]) -> bytes:
    """As bytes."""
    head = np.array([len(tokens), *(len(own) for own in tokens)], "<i8")
    return b"".join([head.tobytes(), *(own.tobytes() for own in tokens)])


def unpack(message: bytes) -> list[Bytes]:
    """The same tokens."""
    count = int(np.frombuffer(message, "<i8", 1)[0])
    lengths = np.frombuffer(message, "<i8", count, 8)
    return np.split(np.frombuffer(message, np.uint8, offset=8 * (count + 1)), np.cumsum(lengths)[:-1])
