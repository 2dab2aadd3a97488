"""Labelled rows in any of their files give the same problem; what cannot be used is said, or set apart and counted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from hdna.downstream.reference_genome import open_genome
from hdna.downstream.tasks.admission import SET_APART, write_set_apart
from hdna.downstream.tasks.held_out import held_out
from hdna.downstream.tasks.labelled_set import LabelledSet, make_set
from hdna.downstream.tasks.opening import name_of, read_rows
from hdna.errors import InputError
from hdna.genome import alphabet

Row = tuple[str, object]


def sequences(count: int, seed: int = 0, length: int = 40) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), size=length)) for _ in range(count)]


def labelled(count: int, seed: int = 0) -> list[Row]:
    return [(own, row % 2) for row, own in enumerate(sequences(count, seed))]


def write_csv(path: Path, rows: Sequence[Row], head: str = "sequence,label") -> str:
    path.write_text("\n".join([head, *(f"{own},{label}" for own, label in rows)]) + "\n")
    return str(path)


def problem_of(train: str, test: str, longest: int = 1000, **more: str | None) -> LabelledSet:
    genome = more.get("genome")
    store = open_genome(genome, Path(genome).parent) if genome else None
    parts = [read_rows(url, more.get("labels"), store) for url in (train, test)]
    return make_set("t", parts[0], None, parts[1], longest)


def letters(made: LabelledSet) -> list[str]:
    return [alphabet.decode(own).decode() for own in made.problem.test.tokens]


def test_csv_tsv_parquet_fasta_and_bed_give_the_same_rows(tmp_path: Path) -> None:
    rows, test = labelled(40), labelled(20, seed=1)
    train = write_csv(tmp_path / "train.csv", rows)
    csv = write_csv(tmp_path / "a.csv", test)
    tsv = tmp_path / "b.tsv"
    tsv.write_text("label\tseq\n" + "".join(f"{label}\t{own.lower()}\n" for own, label in test))
    columns = {"sequence": [own for own, _ in test], "label": [label for _, label in test]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "c.parquet")
    (tmp_path / "d.fa").write_text("".join(f">s{row} x\n{own}\n" for row, (own, _) in enumerate(test)))
    (tmp_path / "d.csv").write_text("id,label\n" + "".join(f"s{row},{label}\n" for row, (_, label) in enumerate(test)))
    (tmp_path / "g.fa").write_text(">chr1\n" + "N".join(own for own, _ in test) + "\n")
    bed = "".join(f"1\t{41 * row}\t{41 * row + 40}\t{label}\n" for row, (_, label) in enumerate(test))
    (tmp_path / "e.bed").write_text("track name=x\n" + bed)
    found = [
        problem_of(train, csv),
        problem_of(train, str(tsv)),
        problem_of(train, str(tmp_path / "c.parquet")),
    ]
    parts = [read_rows(train, None, None), read_rows(str(tmp_path / "d.fa"), str(tmp_path / "d.csv"), None)]
    found.append(make_set("t", parts[0], None, parts[1], 1000))
    genome = open_genome(str(tmp_path / "g.fa"), tmp_path)
    found.append(make_set("t", parts[0], None, read_rows(str(tmp_path / "e.bed"), None, genome), 1000))
    for made in found:
        assert letters(made) == [own for own, _ in test]
        assert made.problem.test.labels.tolist() == [label for _, label in test]
        assert made.problem.kind == "single_label"
        assert not made.apart
    assert "1 is taken for chr1" in " ".join(found[-1].notes)


def test_a_minus_in_a_bed_file_is_the_other_strand(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">c\nAACCCCGTTT\n")
    genome = open_genome(str(tmp_path / "g.fa"), tmp_path)
    (tmp_path / "e.bed").write_text("c\t0\t6\ta\t0\t-\nc\t4\t10\tb\t0\t+\nc\t5\t11\tb\nd\t0\t5\tb\n")
    rows = read_rows(str(tmp_path / "e.bed"), None, genome)
    assert rows.sequences[:2] == ["GGGGTT", "CCGTTT"]
    assert sorted(rows.faults) == [2, 3]


@pytest.mark.parametrize(
    ("head", "cells", "kind", "names"),
    [
        ("sequence,label", ["1", "0"], "single_label", ["0", "1"]),
        ("sequence,label", ["10.0", "9.0"], "single_label", ["9", "10"]),
        ("sequence,label", ["enhancer", "promoter"], "single_label", ["enhancer", "promoter"]),
        ("sequence,label", ["0.5", "2"], "regression", ["label"]),
        ("sequence,a,b", ["1,0", "0,"], "multi_label", ["a", "b"]),
        ("sequence,label", ["EI" * 20, "E." * 20], "per_base", ["E", "I"]),
    ],
)
def test_kinds_are_told_from_labels(tmp_path: Path, head: str, cells: list[str], kind: str, names: list[str]) -> None:
    rows = [(own, cells[row % 2]) for row, own in enumerate(sequences(30))]
    url = write_csv(tmp_path / "t.csv", rows, head)
    problem = problem_of(url, url).problem
    assert (problem.kind, list(problem.names)) == (kind, names)
    assert problem.test.labels.min() == (-1 if kind in ("multi_label", "per_base") else min(problem.test.labels))


BAD_FILES = {
    "labels missing": ("sequence,label\nACGT,\nACGT,NA\n", "labels missing"),
    "one class": ("sequence,label\nACGT,1\nACGA,1\n", "one class only"),
    "no column of labels": ("sequence,id\nACGT,1\n", "no column 'label'"),
    "no sequences": ("id,label\nx,1\n", "no column 'sequence'"),
    "one number": ("sequence,label\nACGT,0.5\nACCT,0.5\n", "one number only"),
    "the same id": ("sequence,label,id\nACGT,1,x\nACGA,0,x\n", ":3: id 'x' again"),
    "no row to use": ("sequence,label\nHELLO,1\nXYZ,0\n", "'E' at base 2"),
    "columns that are no labels": ("sequence,a,b\nACGT,1,dog\nACGA,0,7\n", "want 0, 1 or nothing"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, case: str) -> None:
    text, says = BAD_FILES[case]
    (tmp_path / "bad.csv").write_text(text)
    good = write_csv(tmp_path / "good.csv", labelled(40))
    with pytest.raises(InputError) as caught:
        problem_of(str(tmp_path / "bad.csv"), good)
    assert says in str(caught.value)
    assert str(tmp_path / "bad.csv") in str(caught.value)


def test_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("sequence,label\nACGT,é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"t\.csv:2: not UTF-8"):
        read_rows(str(tmp_path / "t.csv"), None, None)


def test_test_rows_of_one_class_are_refused(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", labelled(40))
    test = write_csv(tmp_path / "test.csv", [(own, 1) for own in sequences(10)])
    with pytest.raises(InputError, match=r"test\.csv: one class only"):
        problem_of(train, test)


def test_rows_that_cannot_be_used_are_set_apart_with_their_reason(tmp_path: Path) -> None:
    rows: list[Row] = [*labelled(40), ("", 1), ("ACGX", 0), ("A" * 101, 1), ("ACGT", "nan"), ("ACGT", 7), ("ACGU", 1)]
    train = write_csv(tmp_path / "train.csv", labelled(40, seed=1))
    made = problem_of(train, write_csv(tmp_path / "t.csv", rows), longest=100)
    assert len(made.problem.test) == 41  # U is T
    write_set_apart(str(tmp_path), made.apart)
    lines = (tmp_path / SET_APART).read_text().splitlines()
    assert [line.split("\t")[1].rsplit(":", 1)[1] for line in lines[1:]] == ["42", "43", "44", "45", "46"]
    words = ("empty sequence", "'X' at base 4", "longer than", "no label", "'7', which no train row has")
    for line, says in zip(lines[1:], words, strict=True):
        assert says in line


def test_what_is_held_out_depends_on_the_sequence_alone_and_both_strands_stay_together() -> None:
    tokens = [alphabet.encode(own.encode()) for own in sequences(500)]
    chosen = held_out(tokens, None, 0.2, "valid")
    assert 70 < chosen.sum() < 130  # 100, within 3.5 standard deviations
    assert (held_out(tokens[::-1], None, 0.2, "valid")[::-1] == chosen).all()
    assert (held_out([alphabet.reverse_complement(own) for own in tokens], None, 0.2, "valid") == chosen).all()
    assert (held_out(tokens, None, 0.2, "test") != chosen).any()


def test_whole_chromosomes_are_held_out_where_they_are_known(tmp_path: Path) -> None:
    rows = [(own, f"{row % 2},chr{row % 10}") for row, own in enumerate(sequences(200))]
    train = write_csv(tmp_path / "train.csv", rows, "sequence,label,chromosome")
    made = problem_of(train, write_csv(tmp_path / "t.csv", rows[:40], "sequence,label,chromosome"))
    assert not set(made.problem.train.groups) & set(made.problem.valid.groups)
    assert len(made.problem.valid) == 20
    assert "by chromosome" in made.notes[0]
    assert made.chromosomes is not None and len(set(made.problem.test.groups)) == 10


def test_a_task_is_named_after_its_test_file_or_its_folder() -> None:
    assert name_of("data/promoters/test.csv") == "promoters"
    assert name_of("data/promoters.test.csv") == "promoters"
