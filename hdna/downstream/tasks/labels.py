"""What labels mean: the kind of a set, told from its train rows, and cells of a file as numbers.

A cell is missing where it is empty, null, NaN, or says NA. Whole numbers are classes, other numbers a regression, text
as long as its sequence a class for each base, other text the name of a class.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdna.downstream.tasks.problem import Kind, Labels
from hdna.downstream.tasks.source_rows import SourceRows
from hdna.errors import InputError

MAX_CLASSES = 1000
"""More different labels are no classes: numbers to be told by regression, or names of rows."""
_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_MISSING_BASE = {".", "-"}


@dataclass(frozen=True)
class Labelling:
    """How the labels of a set are read."""

    kind: Kind
    names: list[str]
    """Of classes or labels."""

    def read(self, rows: SourceRows) -> tuple[list[Any], dict[int, str]]:
        """The label of each row, None for those of the second: rows without one, and why."""
        labels, faults = list[Any](), dict[int, str]()
        columns = self._columns(rows)
        one = _READERS[self.kind]
        for row in range(len(rows)):
            try:
                labels.append(one(_row_cells(columns, row), rows.sequences[row], self.names))
            except _UnusableLabelError as error:
                labels.append(None)
                faults[row] = str(error)
        return labels, faults

    def stack(self, labels: Sequence[Any]) -> Labels:
        """The labels of rows that have one as the array of their kind."""
        if self.kind == "per_base":
            return np.concatenate([np.asarray(own, np.int64) for own in labels] or [np.zeros(0, np.int64)])
        if self.kind == "regression":
            return np.asarray(labels, np.float64)
        return np.asarray(labels, np.int64)

    def _columns(self, rows: SourceRows) -> list[list[Any]]:
        """The columns of labels in the order of train's."""
        if self.kind != "multi_label" or len(rows.labels) == 1:
            return list(rows.labels.values())
        missing = [name for name in self.names if name not in rows.labels]
        if missing:
            raise InputError(f"{rows.url}: no column {missing[0]!r}: want the columns of labels that train has")
        return [rows.labels[name] for name in self.names]


def learn_labelling(train: SourceRows, kind: Kind | None) -> Labelling:
    """How labels are read, by those of the train rows; `kind` if the user said it.

    Raises InputError for a set whose labels are all missing, of one class only, all the same number, or no labels.
    """
    columns = list(train.labels.values())
    if kind is None:
        kind = _tell_kind(train, columns)
    if kind != "multi_label" and len(columns) > 1:
        raise InputError(f"{train.url}: no column 'label': {kind} wants one column of labels, it has {len(columns)}")
    if kind == "multi_label":
        return Labelling(kind, _label_names(train))
    known = [cell for cell in columns[0] if not is_missing(cell)]
    if not known:
        raise InputError(f"{train.url}: labels missing: no row has one")
    if kind == "regression":
        return Labelling(kind, [next(iter(train.labels))])
    values = {letter for cell in known for letter in str(cell)} - _MISSING_BASE if kind == "per_base" else set()
    classes = sorted(values or {_class_name(cell) for cell in known}, key=_numbers_first)
    if len(classes) < 2:
        raise InputError(f"{train.url}: one class only: every label is {classes[0]!r}: want at least two")
    if len(classes) > MAX_CLASSES:
        raise InputError(
            f"{train.url}: {len(classes):,} different labels: want at most {MAX_CLASSES:,}, or --kind regression"
        )
    return Labelling(kind, classes)


def is_missing(cell: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    """Whether a cell holds no label."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return isinstance(cell, str) and cell.strip().lower() in _MISSING


class _UnusableLabelError(Exception):
    """Why a row's label cannot be used."""


def _tell_kind(train: SourceRows, columns: Sequence[list[Any]]) -> Kind:
    first = next((cell for cell in columns[0] if not is_missing(cell)), None)
    if len(columns) > 1 or isinstance(first, (list, tuple)):
        return "multi_label"
    known = [row for row, cell in enumerate(columns[0]) if not is_missing(cell)]
    cells = [columns[0][row] for row in known]
    numbers = [_number(cell) for cell in cells]
    if known and all(len(str(columns[0][row])) == len(train.sequences[row] or "") > 1 for row in known):
        return "per_base"
    if all(number is not None for number in numbers):
        return "single_label" if all(number == int(number) for number in numbers if number) else "regression"
    return "single_label"


def _label_names(train: SourceRows) -> list[str]:
    if len(train.labels) > 1:
        return list(train.labels)
    (column,) = train.labels.values()
    first = next((cell for cell in column if isinstance(cell, (list, tuple))), None)
    if first is None:
        raise InputError(f"{train.url}: multi_label wants a column of 0 and 1 for each label, or lists of them")
    return [f"label_{number}" for number in range(len(first))]


def _row_cells(columns: Sequence[list[Any]], row: int) -> Any:  # noqa: ANN401 - whatever a file holds
    return columns[0][row] if len(columns) == 1 else [column[row] for column in columns]


def _class_name(cell: Any) -> str:  # noqa: ANN401
    number = _number(cell)
    return str(int(number)) if number is not None and number == int(number) else str(cell).strip()


def _numbers_first(name: str) -> tuple[int, float, str]:
    number = _number(name)
    return (1, 0.0, name) if number is None else (0, number, name)


def _number(cell: Any) -> float | None:  # noqa: ANN401
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _read_class(cell: Any, sequence: Any, names: Sequence[str]) -> int:  # noqa: ANN401
    if is_missing(cell):
        raise _UnusableLabelError("no label")
    name = _class_name(cell)
    if name not in names:
        raise _UnusableLabelError(f"label {name!r}, which no train row has")
    return names.index(name)


def _read_number(cell: Any, sequence: Any, names: Sequence[str]) -> float:  # noqa: ANN401
    if is_missing(cell):
        raise _UnusableLabelError("no label")
    number = _number(cell)
    if number is None:
        raise _UnusableLabelError(f"label {str(cell)!r} is not a finite number")
    return number


def _read_labels(cells: Any, sequence: Any, names: Sequence[str]) -> npt.NDArray[np.int64]:  # noqa: ANN401
    if not isinstance(cells, (list, tuple)) or len(cells) != len(names):
        raise _UnusableLabelError(f"not {len(names)} labels, as the first row has")
    values = np.full(len(names), -1, np.int64)
    for label, cell in enumerate(cells):
        if is_missing(cell):
            continue
        number = _number(cell)
        if number not in (0, 1):
            raise _UnusableLabelError(f"label {names[label]!r} is {str(cell)!r}: want 0, 1 or nothing")
        values[label] = number
    if (values < 0).all():
        raise _UnusableLabelError("no label")
    return values


def _read_bases(cell: Any, sequence: Any, names: Sequence[str]) -> npt.NDArray[np.int64]:  # noqa: ANN401
    if is_missing(cell):
        raise _UnusableLabelError("no label")
    text = str(cell)
    if len(text) != len(sequence or ""):
        raise _UnusableLabelError(f"{len(text):,} labels of bases for a sequence of {len(sequence or ''):,}")
    codes = {name: code for code, name in enumerate(names)} | dict.fromkeys(_MISSING_BASE, -1)
    unknown = next((letter for letter in text if letter not in codes), None)
    if unknown is not None:
        raise _UnusableLabelError(f"label {unknown!r}, which no train row has")
    return np.array([codes[letter] for letter in text], np.int64)


_READERS: dict[Kind, Callable[[Any, Any, Sequence[str]], Any]] = {
    "single_label": _read_class,
    "regression": _read_number,
    "multi_label": _read_labels,
    "per_base": _read_bases,
}
