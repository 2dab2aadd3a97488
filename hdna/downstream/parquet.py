"""Parquet files. The door to pyarrow, which comes with `pip install 'hdna[eval]'`."""

from types import ModuleType
from typing import Any

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


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    """The library, and its room for Parquet."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("Parquet needs pyarrow: run pip install 'hdna[eval]'") from None
    return pyarrow, pyarrow.parquet
