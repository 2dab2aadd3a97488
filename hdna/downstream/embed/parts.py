"""The work in parts: consecutive sequences, whose embeddings are one file until all are there.

What an interrupted command has finished is found by the file's size, which follows from the sequences; it appears by a
rename, and the folder belongs to this input, checkpoint and choice alone.

Shapes: N sequences, M rows of embeddings of a part, D = d_model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdna import storage
from hdna.downstream.embed.embedder import Values, Wanted

PART_BASES = 2**20
PART_BYTES = 64 * 2**20
"""Of its embeddings. A part has less of both, or a single sequence: what a kill costs, and what memory is taken."""


@dataclass(frozen=True)
class Part:
    """Sequences [first, last)."""

    number: int
    first: int
    last: int
    bases: int
    rows: int
    """M."""


def plan_parts(lengths_N: npt.NDArray[np.int64], rows_N: npt.NDArray[np.int64], row_bytes: int) -> list[Part]:
    """All sequences in parts; `rows_N`: rows of embeddings of each, of so many bytes."""
    parts: list[Part] = []
    first = bases = rows = 0
    for number, (length, own) in enumerate(zip(lengths_N.tolist(), rows_N.tolist(), strict=True)):
        if number > first and (bases + length > PART_BASES or (rows + own) * row_bytes > PART_BYTES):
            parts.append(Part(len(parts), first, number, bases, rows))
            first, bases, rows = number, 0, 0
        bases, rows = bases + length, rows + own
    return [*parts, Part(len(parts), first, len(lengths_N), bases, rows)]


class PartFiles:
    """The finished parts, in a folder."""

    def __init__(self, folder: Path, width: int, wanted: Wanted) -> None:
        self._folder = folder
        self._width = width
        self._dtype = np.dtype(wanted.dtype)

    def has(self, part: Part) -> bool:
        """Whether it is finished."""
        return storage.object_size(str(self._path(part))) == part.rows * self._width * self._dtype.itemsize

    def put(self, part: Part, data: bytes) -> None:
        """Write the bytes of its rows, durably."""
        storage.write(str(self._path(part)), data)

    def values(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Values]]:
        """Finished parts in order, each with its rows (M, D)."""
        for part in parts:
            yield part, np.fromfile(self._path(part), self._dtype).reshape(part.rows, self._width)

    def _path(self, part: Part) -> Path:
        return self._folder / f"part-{part.number:06d}"
