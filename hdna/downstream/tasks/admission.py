"""Which rows of a file are used: those that cannot be are set apart, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hdna import storage
from hdna.downstream.tasks.labels import Labelling
from hdna.downstream.tasks.source_rows import SourceRows
from hdna.errors import InputError, printable
from hdna.genome import alphabet
from hdna.genome.packing import Bytes

SET_APART = "set_apart.tsv"


@dataclass(frozen=True)
class Apart:
    """A row that is not used."""

    split: str
    where: str
    """File and line."""
    id: str
    reason: str


@dataclass(frozen=True)
class Admitted:
    """The rows of a split that are used."""

    url: str
    tokens: list[Bytes]
    labels: list[Any]
    chromosomes: list[str] | None


def admit(rows: SourceRows, labelling: Labelling, longest: int, split: str) -> tuple[Admitted, list[Apart]]:
    """The rows that have a sequence of DNA of at most `longest` bases and a label, and the others.

    Raises InputError when no row is left, or two have one id.
    """
    _refuse_same_ids(rows)
    labels, faults = labelling.read(rows)
    apart, kept, tokens = list[Apart](), list[int](), list[Bytes]()
    for row in range(len(rows)):
        own, reason = _tokens(rows, row, longest)
        reason = reason or faults.get(row)
        if own is None or reason is not None:
            name = "" if rows.ids is None else str(rows.ids[row])
            apart.append(Apart(split, rows.at(row), name, reason or "no sequence"))
        else:
            kept.append(row)
            tokens.append(own)
    if not kept:
        raise InputError(f"{apart[0].where}: {apart[0].reason}: no row of {rows.url} can be used")
    chromosomes = None if rows.chromosomes is None else [rows.chromosomes[row] for row in kept]
    return Admitted(rows.url, tokens, [labels[row] for row in kept], chromosomes), apart


def write_set_apart(folder: str, apart: Sequence[Apart]) -> None:
    """Write set_apart.tsv to a folder or bucket; without rows it has names of columns alone."""
    lines = ["split\twhere\tid\treason"]
    lines += ["\t".join(printable(cell) for cell in (row.split, row.where, row.id, row.reason)) for row in apart]
    storage.write(storage.join(folder, SET_APART), "".join(f"{line}\n" for line in lines).encode())


def _tokens(rows: SourceRows, row: int, longest: int) -> tuple[Bytes | None, str | None]:
    """A row's sequence, or what is wrong with it."""
    if row in rows.faults:
        return None, rows.faults[row]
    sequence = rows.sequences[row]
    if not isinstance(sequence, str) or not sequence.strip():
        return None, "empty sequence"
    text = sequence.strip()
    if len(text) > longest:
        return None, f"{len(text):,} bases: longer than the model's l_max, {longest:,}"
    tokens = alphabet.encode(text.encode("ascii", errors="replace"))
    if not tokens.all():
        at = int((tokens == 0).argmax())
        return None, f"{text[at]!r} at base {at + 1} is no letter of DNA"
    return tokens, None


def _refuse_same_ids(rows: SourceRows) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(rows.ids or ()):
        if name is None or name == "":
            continue
        if str(name) in first:
            raise InputError(
                f"{rows.at(row)}: id {str(name)!r} again, as at {rows.at(first[str(name)])}: give each row its own"
            )
        first[str(name)] = row
