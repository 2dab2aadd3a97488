"""From rows as files have them to a problem: kinds, classes, splits."""

from dataclasses import dataclass

import numpy as np

from hdna.downstream.tasks.admission import Admitted, Apart, admit
from hdna.downstream.tasks.held_out import Flags, held_out
from hdna.downstream.tasks.labels import Labelling, learn_labelling
from hdna.downstream.tasks.problem import Kind, Problem, Rows
from hdna.downstream.tasks.source_rows import SourceRows
from hdna.errors import InputError

VALID_SHARE = 0.1
TEST_SHARE = 0.2
"""Of a set that comes without a test part."""


@dataclass(frozen=True)
class LabelledSet:
    """A problem, and what is known of how it came about."""

    problem: Problem
    chromosomes: list[str] | None
    """Of the test rows."""
    apart: list[Apart]
    notes: list[str]
    """How it was split, in sentences."""


def make_set(
    name: str,
    train: SourceRows,
    valid: SourceRows | None,
    test: SourceRows | None,
    longest: int,
    kind: Kind | None = None,
) -> LabelledSet:
    """A problem of those splits; what is missing is held out of train.

    Raises InputError where labels are missing or of one class only, or rows of a split all unusable.
    """
    labelling, notes = learn_labelling(train, kind), list[str]()
    splits, apart = dict[str, Admitted](), list[Apart]()
    for split, rows in (("train", train), ("valid", valid), ("test", test)):
        if rows is not None:
            splits[split], others = admit(rows, labelling, longest, split)
            apart += others
            notes += [f"{rows.url}: {rows.note}"] if rows.note else []
    _refuse_one_class(splits["train"], labelling, "train")
    for split, share in (("test", TEST_SHARE), ("valid", VALID_SHARE)):
        if split not in splits:
            splits["train"], splits[split] = _divide(splits["train"], share, split)
            notes.append(_how(splits["train"], splits[split], split))
    for split in ("train", "test"):
        _refuse_one_class(splits[split], labelling, split)
    numbers = _group_numbers(splits)
    parts = {split: _rows(own, labelling, numbers) for split, own in splits.items()}
    problem = Problem(name, labelling.kind, labelling.names, parts["train"], parts["valid"], parts["test"])
    return LabelledSet(problem, splits["test"].chromosomes, apart, notes)


def _divide(rows: Admitted, share: float, split: str) -> tuple[Admitted, Admitted]:
    out = held_out(rows.tokens, rows.chromosomes, share, split)
    if out.all() or not out.any():
        raise InputError(f"{rows.url}: {len(rows.tokens)} rows are too few to hold a part out: give --{split}")
    return _part(rows, ~out), _part(rows, out)


def _part(rows: Admitted, taken: Flags) -> Admitted:
    numbers = np.flatnonzero(taken).tolist()
    chromosomes = None if rows.chromosomes is None else [rows.chromosomes[row] for row in numbers]
    return Admitted(rows.url, [rows.tokens[row] for row in numbers], [rows.labels[row] for row in numbers], chromosomes)


def _how(train: Admitted, out: Admitted, split: str) -> str:
    whole = out.chromosomes is not None and set(out.chromosomes).isdisjoint(train.chromosomes or ())
    rule = "by chromosome" if whole else "by a hash of the sequence"
    return f"{split}: {len(out.tokens):,} rows of {train.url}, held out {rule}"


def _rows(own: Admitted, labelling: Labelling, numbers: dict[str, int]) -> Rows:
    groups = np.arange(len(own.tokens))
    if own.chromosomes is not None:
        groups = np.array([numbers[name] for name in own.chromosomes], np.int64)
    return Rows(own.tokens, labelling.stack(own.labels), groups)


def _group_numbers(splits: dict[str, Admitted]) -> dict[str, int]:
    names = {name for own in splits.values() for name in own.chromosomes or ()}
    return {name: number for number, name in enumerate(sorted(names))}


def _refuse_one_class(own: Admitted, labelling: Labelling, split: str) -> None:
    """Raise InputError for rows whose labels tell nothing apart."""
    labels = labelling.stack(own.labels)
    if labelling.kind == "multi_label":
        known = labels.max(0, initial=-1) > 0
        if not (known & ((labels == 0).any(0))).any():
            raise InputError(f"{own.url}: one class only: no label is both 0 and 1 in the {split} rows")
        return
    values = set(labels.tolist()) - ({-1} if labelling.kind == "per_base" else set())
    if len(values) < 2:
        what = "one number" if labelling.kind == "regression" else "one class"
        raise InputError(f"{own.url}: {what} only: the {len(own.tokens):,} {split} rows all have the same label")
