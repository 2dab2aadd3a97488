"""Texts with a few edits: refused in one line, or with exactly the meaning that the documentation gives them.

Every seed is read once as it is: the ordinary texts of a door, and every text that was ever misread.
`make fuzz` reads a thousand edited ones at each door and prints the table; the tests a part of them.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from support.fuzzing import FINDINGS, HEADER, SEED, TRIALS, Tally
from support.text_doors import DOORS, FASTA, FASTA_GZIP, REPORT, TextDoor
from support.text_edits import edited, edited_gzip

TABLE: list[str] = []
SHARE = {REPORT.name: 3}
"""A page takes half a second: it is written for one in so many of the trials."""


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Print the figures at the end."""
    yield
    print("\n" + "\n".join([HEADER, *TABLE]))


def texts(door: TextDoor) -> st.SearchStrategy[bytes]:
    corpus = FASTA if door is FASTA_GZIP else door
    seeds = [path.read_bytes() for path in corpus.seeds()]
    return edited_gzip(seeds) if door is FASTA_GZIP else edited(seeds)


@pytest.mark.parametrize("door", DOORS)
def test_every_seed_is_refused_or_means_what_the_documentation_says(door: str) -> None:
    tally = Tally(door)
    for path in DOORS[door].seeds():
        tally.add(path.name, DOORS[door].outcome(path.read_bytes()))
    assert tally.findings == []


@pytest.mark.parametrize("door", DOORS)
def test_an_edited_text_is_refused_or_means_what_the_documentation_says(door: str) -> None:
    tally = Tally(f"{door}: edited")

    @seed(SEED)
    @settings(
        max_examples=max(1, TRIALS // SHARE.get(door, 1)),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(texts(DOORS[door]))
    def read(text: bytes) -> None:
        outcome = DOORS[door].outcome(text)
        tally.add(repr(text[:200]), outcome)
        assert outcome[0] not in FINDINGS, f"{outcome[0]} {outcome[1]}"

    read()
    TABLE.append(tally.row())
