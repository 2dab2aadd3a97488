"""The Zarr v3 arrays of a genome store: writing, and defensive reading; other arrays. The door to Zarr."""

import math
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
from hdna.storage.manifest import Manifest, describe_bytes

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
READ_ERRORS = (ValueError, RuntimeError, LookupError, TypeError, AttributeError, ArithmeticError, OSError)
"""What Zarr raises on damaged data."""
_TABLE_CHUNK_BYTES, _TEXT_BYTES = 8 << 20, 16
"""Of a chunk of other arrays, and of a text in them, about."""
_ZSTD_LEVEL = 5
_FIRST_CAPACITY_CHUNKS = 16
_CRC32C_BYTES = 4
_MAX_METADATA_BYTES = 1 << 20
_MAX_STORED_CHUNK_BYTES = CHUNK_BYTES + (1 << 16)
"""zstd makes incompressible bytes a little longer."""

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


def create_table_array(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: str) -> Array:
    """An array of another group, a row along its first dimension; `dtype` "str" is text. No value is left unwritten."""
    row_bytes = math.prod(shape[1:]) * (_TEXT_BYTES if dtype == "str" else np.dtype(dtype).itemsize)
    return group.create_array(
        name,
        shape=shape,
        dtype=str if dtype == "str" else dtype,
        chunks=(max(1, min(shape[0], _TABLE_CHUNK_BYTES // row_bytes)), *shape[1:]),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
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

    def close(self) -> int:
        """Write the rest, set the array's final length, and return it."""
        self._flush()
        self._array.resize((self._written,))
        return self._written

    def _flush(self) -> None:
        end = self._written + self._filled
        if end > self._array.shape[0]:
            self._array.resize((2 * self._array.shape[0],))
        if self._filled:
            self._array[self._written : end] = self._buffer[: self._filled]
        self._written, self._filled = end, 0


def open_arrays(url: str, manifest: Manifest) -> tuple[dict[str, Any], dict[str, Array]]:
    """The attributes and the arrays of the store at `url`.

    Raises InputError or one of READ_ERRORS when an array is not as this format says.
    """
    if storage.is_local(url):
        local = LocalStore(storage.local_path(url), read_only=True)
        group = zarr.open_group(_Guarded(local, manifest), mode="r", zarr_format=3)
    else:
        store, path = storage.locate(url)
        remote = _Guarded(ObjectStore(store, read_only=True), manifest, f"{path}/")
        group = zarr.open_group(remote, path=path, mode="r", zarr_format=3)
    return dict(group.attrs), {name: _checked(group, name, manifest) for name in COLUMNS}


class _Guarded(WrapperStore[Store]):
    """Passes a file only if it is exactly what the manifest says, and does not ask for more memory than it may have.

    Zarr itself reads a missing chunk as zeros, believes its own metadata, and decompresses whatever it is given.
    """

    def __init__(self, store: Store, manifest: Manifest, prefix: str = "") -> None:
        super().__init__(store)
        self._manifest = manifest
        self._prefix = prefix

    def _with_store(self, store: Store) -> "_Guarded":
        return _Guarded(store, self._manifest, self._prefix)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        path = key.removeprefix(self._prefix)
        url, entry = storage.join(self._manifest.url, path), self._manifest.files.get(path)
        is_chunk = "/c/" in path
        if entry is None and not is_chunk:
            return None  # Zarr asks for metadata of other versions too
        if entry is not None and entry.bytes > (_MAX_STORED_CHUNK_BYTES if is_chunk else _MAX_METADATA_BYTES):
            raise InputError(
                f"{url}: {entry.bytes} bytes are more than such a file has: {self._manifest.format.damaged}"
            )
        if byte_range is not None:
            raise ValueError(f"{path}: only whole files can be checked")
        found = await super().get(key, prototype)
        if found is None:
            raise InputError(f"{url} is missing: {self._manifest.format.damaged}")
        data = found.to_bytes()
        if describe_bytes(data) != entry:
            raise InputError(f"{url} does not have the bytes its manifest says: {self._manifest.format.damaged}")
        if is_chunk:
            try:
                check_frame(data[:-_CRC32C_BYTES], CHUNK_BYTES)
            except ValueError as error:
                raise InputError(f"{url}: {error}: {self._manifest.format.damaged}") from None
        return found


def _checked(group: zarr.Group, name: str, manifest: Manifest) -> Array:
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
    have = {path for path in manifest.files if path.startswith(f"{name}/c/")}
    if len(have) != want or have != {chunk_key(name, number) for number in range(want)}:
        raise ValueError(f"{name} has {want} chunks, but the manifest lists {len(have)}")
    return array
