"""Parquet files. The door to pyarrow, which comes with `pip install 'hdna[eval]'`."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna import storage
from hdna.errors import InputError

MAGIC = b"PAR1"
"""First bytes of every Parquet file."""


def read_columns(url: str) -> list[tuple[str, list[Any]]]:
    """The columns of a local file in order, each a name with its values as Python has them, None for null.

    Raises InputError when the file is damaged, or pyarrow is not installed.
    """
    pyarrow, parquet = _pyarrow()
    try:
        table = parquet.ParquetFile(storage.local_path(url), page_checksum_verification=True).read()
        return [(name, column.to_pylist()) for name, column in zip(table.column_names, table.columns, strict=True)]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{url}: damaged Parquet ({error}): write or copy it again") from None


class VectorFile:
    """A file of rows that have vectors, written in groups of rows; a context manager.

    Shapes: N rows of a group, M vectors of them all, D numbers of a vector.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, list[Any]],
        vectors: tuple[str, int, str],
        per_row: bool,
        notes: Mapping[str, str],
    ) -> None:
        """`columns`: of all rows, for their types. `vectors`: name of that column, D, dtype. `notes`: of the file.

        `per_row`: each row has one vector, as a list of fixed size; else a list of such lists. Raises InputError when
        pyarrow is not installed.
        """
        self._arrow, parquet = _pyarrow()
        arrow, (name, self._width, dtype) = self._arrow, vectors
        vector = arrow.list_(arrow.from_numpy_dtype(np.dtype(dtype)), self._width)
        fields = [(column, arrow.array(values).type) for column, values in columns.items()]
        self._schema = arrow.schema([*fields, (name, vector if per_row else arrow.list_(vector))], metadata=dict(notes))
        self._per_row = per_row
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)

    def write(
        self, columns: Mapping[str, list[Any]], values_MD: npt.NDArray[Any], counts_N: npt.NDArray[np.int64]
    ) -> None:
        """A group of rows; `counts_N`: how many vectors each has."""
        arrow = self._arrow
        made = arrow.FixedSizeListArray.from_arrays(arrow.array(values_MD.ravel()), self._width)
        if not self._per_row:
            offsets = np.concatenate([[0], np.cumsum(counts_N)]).astype(np.int32)
            made = arrow.ListArray.from_arrays(arrow.array(offsets), made)
        arrays = [arrow.array(values, self._schema.field(name).type) for name, values in columns.items()]
        self._writer.write_table(arrow.Table.from_arrays([*arrays, made], schema=self._schema))

    def __enter__(self) -> "VectorFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    """The library, and its room for Parquet."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("Parquet needs pyarrow: run pip install 'hdna[eval]'") from None
    return pyarrow, pyarrow.parquet
