"""The tables of bench/README.md are those that its JSON makes."""

import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def test_the_tables_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    import tables

    text = (BENCH / "README.md").read_text()
    assert tables.rendered(text) == text, f"run: {sys.executable} bench/tables.py"
    assert set(tables.TABLES) == set(tables.MARK.findall(text))
