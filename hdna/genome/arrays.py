"""The Zarr v3 arrays of a genome store: writing, and defensive reading. The door to Zarr."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, MemoryStore, ObjectStore, WrapperStore

from hdna import storage
from hdna.errors import InputError
from hdna.genome.zstd_frame import check_frame

COLUMNS: Final[dict[str, str]] = {
    "bases": "uint8",
    "n_runs": "uint32",
    "mask_runs": "uint32",
    "iupac_positions": "int64",
    "iupac_codes": "uint8",
    "contig_offsets": "int64",
    "contig_names": "uint8",
}
"""Every array of a store and its type."""

CHUNK_BYTES = 1 << 20
READ_ERRORS = (ValueError, RuntimeError, KeyError, TypeError, OSError)
"""What Zarr raises on damaged data."""
_ZSTD_LEVEL = 5
_FIRST_CAPACITY_CHUNKS = 16
_CRC32C_BYTES = 4

Array = zarr.Array[Any]


def create_group(folder: Path) -> zarr.Group:
    """A new group in a local folder."""
    return zarr.create_group(LocalStore(folder), zarr_format=3)


def create_array(group: zarr.Group, name: str, length: int, chunk_bytes: int | None = None) -> Array:
    """The array `name` of a store, `length` long; chunks are written separately."""
    dtype = np.dtype(COLUMNS[name])
    return group.create_array(
        name,
        shape=(length,),
        dtype=dtype,
        chunks=((chunk_bytes or CHUNK_BYTES) // dtype.itemsize,),
        serializer=BytesCodec(endian="little"),
        compressors=[ZstdCodec(level=_ZSTD_LEVEL), Crc32cCodec()],
        filters=None,
        # Every chunk is written, even all-zero ones, so that a missing chunk always means damage.
        config={"write_empty_chunks": True},
    )


def chunk_key(name: str, number: int) -> str:
    """Path of a chunk of the array `name`, below the group."""
    return f"{name}/c/{number}"


def encode_chunks(packed: npt.NDArray[np.uint8], chunk_bytes: int) -> list[bytes]:
    """Encode `packed`, a part of `bases` that starts at a chunk, as the bytes of its chunk files."""
    written: dict[str, Buffer] = {}
    create_array(zarr.create_group(MemoryStore(written)), "bases", packed.size, chunk_bytes)[:] = packed
    return [written[chunk_key("bases", number)].to_bytes() for number in range(-(-packed.size // chunk_bytes))]


class Column:
    """One array of a store being written: values are appended, chunk by chunk, in bounded memory."""

    def __init__(self, group: zarr.Group, name: str) -> None:
        self._dtype = np.dtype(COLUMNS[name])
        self._chunk = CHUNK_BYTES // self._dtype.itemsize
        self._buffer = np.empty(self._chunk, self._dtype)
        self._filled = 0
        self._written = 0
        self._array = create_array(group, name, self._chunk * _FIRST_CAPACITY_CHUNKS)

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add values at the end."""
        while values.size:
            part = values[: self._chunk - self._filled]
            self._buffer[self._filled : self._filled + part.size] = part
            self._filled += part.size
            values = values[part.size :]
            if self._filled == self._chunk:
                self._flush()

    def close(self) -> None:
        """Write the rest and set the array's final length."""
        self._flush()
        self._array.resize((self._written,))

    def _flush(self) -> None:
        end = self._written + self._filled
        if end > self._array.shape[0]:
            self._array.resize((2 * self._array.shape[0],))
        if self._filled:
            self._array[self._written : end] = self._buffer[: self._filled]
        self._written, self._filled = end, 0


def open_arrays(url: str, files: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Open the attributes and arrays of the store at `url`; `files` are those its manifest lists.

    Raises InputError or one of READ_ERRORS when an array does not follow this format.
    """
    if storage.is_local(url):
        local = LocalStore(storage.local_path(url), read_only=True)
        group = zarr.open_group(_Guarded(local, url), mode="r", zarr_format=3)
    else:
        store, path = storage.locate(url)
        remote = _Guarded(ObjectStore(store, read_only=True), url, f"{path}/")
        group = zarr.open_group(remote, path=path, mode="r", zarr_format=3)
    return dict(group.attrs), {name: _checked(group, name, files) for name in COLUMNS}


class _Guarded(WrapperStore[Store]):
    """Passes a chunk on only if it exists and decompresses to no more than a chunk's size.

    Zarr itself reads a missing chunk as zeros, and decompresses whatever it is given.
    """

    def __init__(self, store: Store, url: str, prefix: str = "") -> None:
        super().__init__(store)
        self._url = url
        self._prefix = prefix

    def _with_store(self, store: Store) -> "_Guarded":
        return _Guarded(store, self._url, self._prefix)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if "/c/" not in key:
            return found
        chunk_url = storage.join(self._url, key.removeprefix(self._prefix))
        if found is None:
            raise InputError(f"{chunk_url} is missing: the genome store is damaged; make it again, or copy it again")
        try:
            check_frame(found.to_bytes()[:-_CRC32C_BYTES], CHUNK_BYTES)
        except ValueError as error:
            raise InputError(f"{chunk_url}: {error}: the genome store is damaged; make it again") from None
        return found


def _checked(group: zarr.Group, name: str, files: Mapping[str, object]) -> Array:
    """An array of the store, checked against this format: its name alone proves nothing."""
    array = group[name]
    if not isinstance(array, zarr.Array) or array.ndim != 1 or array.dtype != np.dtype(COLUMNS[name]):
        raise ValueError(f"{name} is not a one-dimensional {COLUMNS[name]} array")
    if array.chunks[0] * array.dtype.itemsize > CHUNK_BYTES:
        raise ValueError(f"{name} has chunks larger than {CHUNK_BYTES} bytes")
    coded = [type(codec) for codec in (*array.filters, array.serializer, *array.compressors)]
    if coded != [BytesCodec, ZstdCodec, Crc32cCodec]:
        raise ValueError(f"{name} is coded by {', '.join(kind.__name__ for kind in coded)}, not by zstd and crc32c")
    want = math.ceil(array.shape[0] / array.chunks[0])
    have = sum(path.startswith(f"{name}/c/") for path in files)
    if want != have:
        raise ValueError(f"{name} has {want} chunks, the manifest names {have}")
    return array
