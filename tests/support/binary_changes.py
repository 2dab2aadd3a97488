"""One field of a binary file changed, by somebody who knows its format: every length and checksum is made to fit.

Headers and checksums are written here from the descriptions of the formats, not with the code under test.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
from numcodecs import zstd

from support.fuzzing import ODD, Change, mutate
from support.manifests import write_listed
from support.shard_sets import NPY_HEADER_BYTES

_BLOCK_BYTES = 512
_TAR_FIELDS = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "typeflag": (156, 1), "linkname": (157, 100), "magic": (257, 6), "version": (263, 2), "uname": (265, 32),
    "gname": (297, 32), "devmajor": (329, 8), "devminor": (337, 8), "prefix": (345, 155), "padding": (500, 12),
}  # fmt: skip
"""Place and length in a USTAR header."""
_TAR_CHECKSUM = slice(148, 156)
_TAR_VALUES = (
    b"", b" ", b"0", b"1", b"2", b"5", b"7", b"L", b"K", b"S", b"V", b"g", b"x", b"-1", b"00000000001", b"77777777777",
    b"00000002000", b"\x80" + bytes(10) + b"\x01", b"\x80\x7f" + b"\xff" * 10, b"\xff" * 12, b"../x", b"/etc/passwd",
    b"w000000000.json", b"w000000000.seq.npy", b"a\xffb", b"ustar  ", b"ustar\x0000", b"x" * 155,
)  # fmt: skip
_NPY_KINDS = ("|b1", "|u1", "|i1", "<u2", "<f8", "|S1", "|V1", "|O", "", "|u1'}, __import__('os')")
_NPY_SHAPES = (
    "({n},)",
    "({n}, 1)",
    "(1, {n})",
    "()",
    "(0,)",
    "(-1,)",
    "({more},)",
    "({less},)",
    "{n}",
    "(9" * 40 + ",)",
)
_TENSOR_VALUES = [*ODD, "I32", "U32", "F64", "F16", "BF16", "BOOL", [4, 3], [12], [12, 1], [0, 48], [48, 96], [0, 96]]
"""Types, shapes and places that tensors of 3 x 4 numbers could also have."""


def tar_field_change(folder: Path) -> Change:
    """Change one field of one header in a shard's tar."""

    def change(rng: random.Random) -> str:
        path = rng.choice(sorted(folder.glob("*.tar")))
        data = bytearray(path.read_bytes())
        place, field = rng.choice(list(_tar_headers(data))), rng.choice(list(_TAR_FIELDS))
        at, length = _TAR_FIELDS[field]
        value = rng.choice(_TAR_VALUES).ljust(length, b"\0")[:length]
        header = data[place : place + _BLOCK_BYTES]
        header[at : at + length] = value
        header[_TAR_CHECKSUM] = b" " * 8
        header[_TAR_CHECKSUM] = b"%06o\0 " % sum(header)
        data[place : place + _BLOCK_BYTES] = header
        write_listed(folder / "manifest.json", path.name, bytes(data))
        return f"{path.name} {field} at {place}: {value!r}"

    return change


def _tar_headers(data: bytes | bytearray) -> Iterator[int]:
    """Where the members' headers are."""
    place = 0
    while data[place]:
        yield place
        size = int(data[place + 124 : place + 135], 8)
        place += _BLOCK_BYTES - -size // _BLOCK_BYTES * _BLOCK_BYTES


def npy_field_change(folder: Path) -> Change:
    """Change one field of the header of one array in a shard."""

    def change(rng: random.Random) -> str:
        path = rng.choice(sorted(folder.glob("*.tar")))
        data = path.read_bytes()
        places = [place for place in range(0, len(data), _BLOCK_BYTES) if data.startswith(b"\x93NUMPY", place)]
        place = rng.choice(places)
        header = _changed_npy(data[place : place + NPY_HEADER_BYTES], rng)
        write_listed(folder / "manifest.json", path.name, data[:place] + header + data[place + NPY_HEADER_BYTES :])
        return f"{path.name} at {place}: {header!r}"

    return change


def _changed_npy(header: bytes, rng: random.Random) -> bytes:
    """The same number of bytes with another version, length, type, order, shape or spelling."""
    start, text = header[:10], header[10:].decode()
    begin, end = text.index("(") + 1, text.index(",)")
    n, field = int(text[begin:end]), rng.choice(("version", "length", "descr", "fortran_order", "shape", "spelling"))
    if field == "version":
        start = start[:6] + bytes([rng.randrange(4), rng.randrange(4)]) + start[8:]
    elif field == "length":
        start = start[:8] + rng.choice((0, 54, 117, 119, 182, 65535)).to_bytes(2, "little")
    elif field == "descr":
        text = text.replace(text[11:14], rng.choice(_NPY_KINDS), 1)
    elif field == "fortran_order":
        text = text.replace("False", rng.choice(("True", "None", "0", "1")))
    elif field == "shape":
        text = text.replace(f"({n},)", rng.choice(_NPY_SHAPES).format(n=n, more=n + 1, less=n - 1))
    else:
        text = rng.choice((text.replace("'", '"'), text.replace(" ", ""), text.replace("{", "{'x': 1, "), "\0" * 118))
    return start + (text.rstrip()[:117].ljust(117) + "\n").encode()


def safetensors_field_change(folder: Path) -> Change:
    """Change one field of the JSON header of one part of a checkpoint."""

    def change(rng: random.Random) -> str:
        path = rng.choice(sorted(folder.glob("*.safetensors")))
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        document = json.loads(data[8:end])
        what = mutate(document, rng, _TENSOR_VALUES)
        header = json.dumps(document).encode()
        write_listed(folder / "MANIFEST.json", path.name, len(header).to_bytes(8, "little") + header + data[end:])
        return f"{path.name} {what}"

    return change


def chunk_change(folder: Path) -> Change:
    """Change up to three bytes of one chunk of a store, before or after compression."""

    def change(rng: random.Random) -> str:
        path = rng.choice(sorted(folder.glob("*/c/*")))
        frame, is_compressed = path.read_bytes()[:-4], rng.random() < 0.5
        content = bytearray(frame if is_compressed else zstd.decompress(frame))
        used = len(content.rstrip(b"\0")) + 1  # a chunk's rest is padding
        places = [rng.randrange(min(used, len(content))) for _ in range(rng.randint(1, 3))]
        for place in places:
            content[place] = rng.randrange(256)
        frame = bytes(content) if is_compressed else zstd.compress(bytes(content), 5)
        checksum: int = google_crc32c.value(frame)
        name = path.relative_to(folder).as_posix()
        write_listed(folder / "manifest.json", name, frame + checksum.to_bytes(4, "little"))
        return f"{name} {'compressed' if is_compressed else 'decompressed'} bytes {places}"

    return change
