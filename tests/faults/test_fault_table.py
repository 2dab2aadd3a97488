"""docs/faults.md says what comes of a fault to any file that hdna reads: each cell is tried, and each trial has a cell.

A cell begins with the words for what may come of the fault, all of them and no others, up to a colon.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.buckets import CachedShard, Claim, InBucket
from faults.checkpoints import CheckpointFiles, CheckpointManifest
from faults.prepared import Bed, Fasta, GzipFasta, InterruptedEncode
from faults.runs import GivenRecipe, RunFacts, RunLease, RunMetrics, RunRecipe, RunTrackedAs
from faults.sets import SetIndex, SetManifest, StoreFiles, StoreManifest, Tars, TarsInUse
from faults.subject import FAULTS, HARMLESS, Fault, Subject

SUBJECTS: tuple[type[Subject], ...] = (
    Fasta,
    GzipFasta,
    Bed,
    InterruptedEncode,
    StoreManifest,
    StoreFiles,
    SetManifest,
    SetIndex,
    Tars,
    TarsInUse,
    CachedShard,
    Claim,
    GivenRecipe,
    CheckpointManifest,
    CheckpointFiles,
    RunRecipe,
    RunMetrics,
    RunLease,
    RunFacts,
    RunTrackedAs,
)
DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"

pytestmark = pytest.mark.xdist_group("faults")


def cells(text: str) -> Iterator[tuple[str, str, str]]:
    """Row, column and text of each cell of the only table, without the columns before the faults'."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    header, _, *body = ([cell.strip() for cell in row] for row in rows)
    for name, *others in body:
        for column, cell in zip(header[1:], others, strict=True):
            if column in FAULTS:
                yield name, column, cell


TABLE = {(row, column): cell for row, column, cell in cells(DOCUMENT.read_text(encoding="utf-8"))}


def words(cell: str) -> set[str]:
    return set(re.split(", | or ", cell.partition(":")[0]))


def of_server(kind: type[Subject]) -> tuple[pytest.MarkDecorator, ...]:
    """Whether tests of it start a server."""
    return (pytest.mark.server,) if issubclass(kind, InBucket) else ()


@pytest.fixture(
    scope="module", params=[pytest.param(kind, marks=of_server(kind), id=kind.__name__) for kind in SUBJECTS]
)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    kind: type[Subject] = request.param
    with kind.made(tmp_path_factory.mktemp("subject")) as subject:
        yield subject


def test_every_cell_has_its_trials_and_every_trial_its_cell() -> None:
    tried = [(kind.row, column) for kind in SUBJECTS for column in FAULTS]
    assert sorted(tried) == sorted((row, column) for row, column, _ in cells(DOCUMENT.read_text(encoding="utf-8")))


def test_without_a_fault_nothing_happens(subject: Subject) -> None:
    """So that it is the fault that makes the difference below."""
    assert subject.outcome(Fault("none", subject.home, lambda: None)) == HARMLESS


@pytest.mark.parametrize("column", FAULTS)
def test_what_comes_of_a_fault_is_what_its_cell_says(column: str, subject: Subject) -> None:
    seen: dict[str, list[str]] = {}
    for fault in subject.faults(column):
        outcome = subject.outcome(fault)
        assert outcome == (fault.expected or outcome), fault.what
        seen.setdefault(outcome, []).append(fault.what)
    assert seen.keys() == words(TABLE[subject.row, column]), seen
