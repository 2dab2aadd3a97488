"""Tables: what CSV, TSV and Parquet say is read as others read it; all else is refused with its line."""

import csv
import gzip
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from hdna.downstream.table import read_table
from hdna.errors import InputError

ROWS = [
    {"sequence": "ACGT", "label": "1", "note": "plain"},
    {"sequence": "AC" * 100_000, "label": "0", "note": 'a "quoted", field'},
    {"sequence": "NNNN", "label": "", "note": "two\nlines"},
    {"sequence": "ACGTA", "label": "1", "note": "déjà"},
]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
def test_text_is_read_as_the_csv_module_wrote_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    with (gzip.open if suffix.endswith(".gz") else open)(path, "wt", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter="\t" if "tsv" in suffix else ",")
        writer.writeheader()
        writer.writerows(ROWS)
    table = read_table(str(path))
    assert [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)] == ROWS
    assert [table.at(row) for row in range(4)] == [f"{path}:{line}" for line in (2, 3, 4, 6)]


def test_parquet_keeps_types_and_nulls(tmp_path: Path) -> None:
    columns = {"sequence": ["ACGT", "GG"], "label": [1, None], "score": [0.5, 2.0]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t")  # told by its first bytes
    table = read_table(str(tmp_path / "t"))
    assert table.columns == columns
    assert table.at(1).endswith("t: row 2")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "t: empty"),
        (b"\n\n", "t: empty"),
        (b"sequence,label\n", "t: empty: it has names"),
        (b"sequence,label\nACGT,1\nAC,0,1\n", "t:3: 3 fields: want 2"),
        (b"sequence,label\n\n\nACGT\n", "t:4: 1 fields"),
        (b"sequence,sequence\nA,C\n", "t:1: two columns are named 'sequence'"),
        (b"sequence,\nA,C\n", "t:1: column 2 has no name"),
        (b"sequence,label\nA,caf\xe9\n", "t:2: not UTF-8"),
        ("sequence,label\nA,1\n".encode("utf-16"), "t:1: is UTF-16"),
        (b"sequence,label\nA,1\nA\0,1\n", "t:3: a NUL byte"),
        (b'sequence,label\nA,1\n"AC,1\nA,1\n', "t:3: .* quote is left open"),
        (b'sequence,label\n"A"C,1\n', "t:2: .* quote"),
        (b"PK\x03\x04 a spreadsheet", "t:1:1: is a zip archive"),
        (b"PAR1 and no more", "t: damaged Parquet"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(tmp_path: Path, data: bytes, line: str) -> None:
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(InputError, match=line):
        read_table(str(tmp_path / "t"))


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("seqence,label\nACGT,1\n")
    with pytest.raises(InputError, match=r"no column 'sequence': it has 'seqence', 'label'; rename 'seqence'\?"):
        read_table(str(tmp_path / "t")).column("sequence")


def test_odd_tables_of_parquet_are_refused(tmp_path: Path) -> None:
    for table in (pyarrow.table({}), pyarrow.table({"sequence": pyarrow.array([], "string")})):
        pyarrow.parquet.write_table(table, tmp_path / "t")
        with pytest.raises(InputError, match="t: empty"):
            read_table(str(tmp_path / "t"))
    data = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="t: damaged Parquet"):
        read_table(str(tmp_path / "t"))
    with pytest.raises(InputError, match="missing: no such file"):
        read_table(str(tmp_path / "missing"))
