"""Tables from outside: CSV and TSV, plain, gzip or bgzip, and Parquet, whole in memory.

Told by content, not by name: a Parquet file by its first bytes, a TSV by a tab in its first line. Text is UTF-8, its
first line names the columns; quotes are those of RFC 4180. Everything else is refused with the line that it is in.
"""

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from hdna.downstream.parquet import MAGIC, read_columns
from hdna.errors import InputError
from hdna_prep.source import Source

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SHOWN_COLUMNS = 8


@dataclass(frozen=True)
class Table:
    """Columns by name, all of one length."""

    url: str
    columns: dict[str, list[Any]]
    """CSV and TSV: str; Parquet: what Python has for its types, None for null."""
    lines: Sequence[int] = field(default=())
    """Of each row, where it begins in a text file."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> list[Any]:
        """A column's values. Raises InputError, with the names that there are, when it is missing."""
        if name not in self.columns:
            near = get_close_matches(name, self.columns, n=1, cutoff=0.5)
            shown = ", ".join(repr(own[:40]) for own in list(self.columns)[:_SHOWN_COLUMNS])
            hint = f"; rename {near[0]!r}?" if near else ""
            raise InputError(f"{self.url}: no column {name!r}: it has {shown}{hint}")
        return self.columns[name]

    def at(self, row: int) -> str:
        """Where a row is, for messages: "file:line" of text, "file: row N" (from 1) of Parquet."""
        return f"{self.url}:{self.lines[row]}" if self.lines else f"{self.url}: row {row + 1}"


def read_table(url: str) -> Table:
    """Read a table, at least a row.

    Raises InputError for a file that is none, another encoding, NUL, columns without a name or of the same name, rows
    of another number of fields ("file:line: …"), a table without rows.
    """
    with Source(url).path.open("rb") as file:
        is_parquet = file.read(len(MAGIC)) == MAGIC
    if is_parquet:
        table = Table(url, _checked_names(read_columns(url), url))
    else:
        table = _read_text(url, b"".join(Source(url).blocks()))
    if not len(table):
        raise InputError(f"{url}: empty: it has names of columns, but no row")
    return table


def _read_text(url: str, data: bytes) -> Table:
    text = _decoded(url, data)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    csv.field_size_limit(sys.maxsize)  # a sequence may be longer than the 128 KiB of the module
    values: list[list[str]] = []
    lines: list[int] = []
    names: list[str] | None = None
    began = 1
    try:
        for row in rows:
            line, began = began, rows.line_num + 1
            if not row:
                continue  # a blank line
            if names is None:
                names = _names(row, f"{url}:{line}")
            elif len(row) != len(names):
                raise InputError(f"{url}:{line}: {len(row)} fields: want {len(names)}, as many as the first line names")
            else:
                values.append(row)
                lines.append(line)
    except csv.Error as error:
        raise InputError(f"{url}:{began}: {error}: see whether a quote is left open") from None
    if names is None:
        raise InputError(f"{url}: empty: want a first line with the names of columns")
    columns = [list(column) for column in zip(*values, strict=True)] or [[] for _ in names]
    return Table(url, dict(zip(names, columns, strict=True)), lines)


def _decoded(url: str, data: bytes) -> str:
    if data.startswith(_UTF_16):
        raise InputError(f"{url}:1: is UTF-16: save it as UTF-8")
    for what, at in (("a NUL byte", data.find(b"\0")), ("not UTF-8", _first_undecodable(data))):
        if at >= 0:
            line = data.count(b"\n", 0, at) + 1
            raise InputError(f"{url}:{line}: {what}: want a table as UTF-8 text (CSV or TSV), or Parquet")
    return data.removeprefix(_BYTE_ORDER_MARK).decode()


def _first_undecodable(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return -1


def _delimiter(text: str) -> str:
    return "\t" if "\t" in text.lstrip("\r\n").partition("\n")[0] else ","


def _names(row: list[str], where: str) -> list[str]:
    names = [name.strip() for name in row]
    if "" in names:
        raise InputError(f"{where}: column {names.index('') + 1} has no name: give it one")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{where}: two columns are named {repeated!r}: rename one")
    return names


def _checked_names(columns: list[tuple[str, list[Any]]], url: str) -> dict[str, list[Any]]:
    if not columns:
        raise InputError(f"{url}: empty: it has no column")
    return dict(zip(_names([name for name, _ in columns], url), (values for _, values in columns), strict=True))
