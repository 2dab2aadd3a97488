"""The two kinds of .npy member in a shard, one-dimensional |u1 and |b1, written and checked byte by byte."""

import io
import re

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 128
_HEADER = re.compile(r"\{'descr': '(\|u1|\|b1)', 'fortran_order': False, 'shape': \((\d{1,12}),\), \} *\n")


def npy_bytes(array: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> bytes:
    """A 1-D uint8 or bool array as the bytes of a .npy file (format 1.0)."""
    if array.ndim != 1 or array.dtype not in (np.dtype(np.uint8), np.dtype(np.bool_)):
        raise ValueError(f"want a 1-D uint8 or bool array, got {array.dtype} {array.shape}")
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def npy_data(data: bytes | memoryview, kind: str) -> tuple[int, int]:
    """Offset and length of the array within a .npy member's bytes.

    `kind` is "|u1" or "|b1". Only the header that `npy_bytes` writes is accepted; nothing is evaluated or unpickled.
    Raises ValueError otherwise, saying why.
    """
    head = bytes(data[:HEADER_BYTES])
    if head[:10] != b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little") or len(head) < HEADER_BYTES:
        raise ValueError("not a .npy member with a 128-byte header of format 1.0")
    match = _HEADER.fullmatch(head[10:].decode("latin-1"))
    if match is None or match.group(1) != kind:
        raise ValueError(f"not a one-dimensional {kind} array")
    length = int(match.group(2))
    if len(data) != HEADER_BYTES + length:
        raise ValueError(f"contains {len(data) - HEADER_BYTES} bytes of data, but its header says {length}")
    return HEADER_BYTES, length
