"""What all faults share: the weights to compare with, and the table."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chaos import Row, table
from support.chaos_ranks import RankRun

from hdna.checkpoint import LoadedCheckpoint, list_checkpoints, load_checkpoint


@pytest.fixture(scope="session")
def rows() -> Iterator[dict[str, Row]]:
    """The table, printed at the end (`-s` shows it)."""
    found: dict[str, Row] = {}
    yield found
    print(table(found))


@pytest.fixture(scope="session")
def undisturbed(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    """The last checkpoint of a run that nobody disturbed."""
    run = RankRun(tiny_recipe, str(tmp_path_factory.mktemp("chaos") / "undisturbed"))
    run.resume()
    return load_checkpoint(list_checkpoints(run.url)[-1].url)
