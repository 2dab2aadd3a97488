"""Finished embeddings as one Parquet file, or as a Zarr group, that others open.

Parquet: the columns of the sequences, `length`, and `embedding`: a list of D numbers, or without pooling a list of such
lists. Zarr: arrays of the same names, (N,) each; `embedding` is (N, D), or without pooling (all bases, D), in which
`offsets` (N + 1,) says where each sequence begins and the next one does.

Shapes: N sequences, M rows of embeddings of a part, D = d_model.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from hdna import storage
from hdna.downstream.embed.embedder import Values, Wanted
from hdna.downstream.embed.parts import Part
from hdna.downstream.embed.sequences import EMBEDDING, LENGTH, OFFSETS, Sequences
from hdna.downstream.parquet import VectorFile
from hdna.errors import InputError
from hdna.genome.arrays import create_group, create_table_array
from hdna.storage.manifest import Format, describe_folder
from hdna.storage.staging import publish, publish_file, refuse_existing, refuse_existing_file

PARQUET, ZARR = ".parquet", ".zarr"
FORMAT: Final = Format("hdna-embeddings", 1, "set of embeddings")
_NOUN = "file of embeddings"
_GROUP_BYTES = 64 * 2**20
"""Of the embeddings in a group of a Parquet file's rows, about."""


@dataclass(frozen=True)
class Described:
    """What a result says of itself."""

    sequences: Sequences
    wanted: Wanted
    width: int
    """D."""
    notes: Mapping[str, str]
    """The checkpoint, its checksum, layer and pooling."""

    @property
    def columns(self) -> dict[str, list[Any]]:
        """All of them but the embeddings."""
        return {**self.sequences.columns, LENGTH: self.sequences.lengths_N.tolist()}


class Result(Protocol):
    """A kind of result at a URL."""

    def refuse_existing(self) -> None:
        """Raise InputError when something is there."""

    def write(self, scratch: Path, described: Described, parts: Iterator[tuple[Part, Values]]) -> None:
        """Make it of all parts in order, in a folder of this machine, and let it appear at its URL."""


def result_at(url: str) -> Result:
    """The kind of result that a URL's ending asks for. Raises InputError when it asks for none, or is no URL."""
    storage.is_local(url)
    for ending, kind in ((PARQUET, ParquetResult), (ZARR, ZarrResult)):
        if url.rstrip("/").endswith(ending):
            return kind(url)
    raise InputError(f"{url}: want a name that ends in {PARQUET} or {ZARR}")


@dataclass(frozen=True)
class ParquetResult:
    """One file."""

    url: str

    def refuse_existing(self) -> None:
        """Raise InputError when something is there."""
        refuse_existing(self.url, _NOUN)
        refuse_existing_file(self.url, _NOUN)

    def write(self, scratch: Path, described: Described, parts: Iterator[tuple[Part, Values]]) -> None:
        """See `Result`."""
        path = scratch / f"result{PARQUET}"
        wanted, columns = described.wanted, described.columns
        vectors = EMBEDDING, described.width, wanted.dtype
        with VectorFile(path, columns, vectors, wanted.pool == "mean", described.notes) as file:
            for first, last, values in _groups(parts):
                rows = wanted.rows(described.sequences.lengths_N[first:last])
                file.write({name: own[first:last] for name, own in columns.items()}, values, rows)
        publish_file(path, self.url, _NOUN)


@dataclass(frozen=True)
class ZarrResult:
    """A group with a manifest, like a genome store."""

    url: str

    def refuse_existing(self) -> None:
        """Raise InputError when something is there."""
        refuse_existing(self.url, FORMAT.noun)

    def write(self, scratch: Path, described: Described, parts: Iterator[tuple[Part, Values]]) -> None:
        """See `Result`."""
        folder = scratch / f"result{ZARR}"
        shutil.rmtree(folder, ignore_errors=True)  # half of it, from an interrupted command
        group = create_group(folder)
        group.attrs.put({"format": FORMAT.name, "version": FORMAT.version, **described.notes})
        begins = np.concatenate([[0], np.cumsum(described.wanted.rows(described.sequences.lengths_N))])
        columns = {name: _plain(values) for name, values in described.columns.items()}
        if described.wanted.pool == "none":
            columns[OFFSETS] = begins
        for name, values in columns.items():
            dtype = "str" if values.dtype == object else values.dtype.name
            create_table_array(group, name, values.shape, dtype)[:] = values
        shape = (int(begins[-1]), described.width)
        array = create_table_array(group, EMBEDDING, shape, described.wanted.dtype)
        for part, values in parts:
            array[begins[part.first] : begins[part.last]] = values
        publish(folder, self.url, FORMAT, {"sequences": len(described.sequences)}, describe_folder(folder))


def _groups(parts: Iterator[tuple[Part, Values]]) -> Iterator[tuple[int, int, Values]]:
    """Parts joined until they are of a size: first and last sequence, rows."""
    held: list[Values] = []
    first = last = 0
    for part, values in parts:
        if held and sum(own.nbytes for own in held) + values.nbytes > _GROUP_BYTES:
            yield first, last, np.concatenate(held)
            held, first = [], part.first
        held.append(values)
        last = part.last
    yield first, last, np.concatenate(held)


def _plain(values: list[Any]) -> np.ndarray[Any, Any]:
    """Numbers as they are; anything else, nulls among it, as text."""
    if all(isinstance(value, bool | int | float) for value in values) and np.array(values).dtype != object:
        return np.array(values)
    return np.array(["" if value is None else str(value) for value in values], object)


def notes_of(checkpoint: str, checksum: str, wanted: Wanted) -> dict[str, str]:
    """What a result says of its making."""
    layer = "last, after the final norm" if wanted.layer is None else str(wanted.layer)
    return {"checkpoint": checkpoint, "checksum": checksum, "layer": layer, "pool": wanted.pool}
