"""Fixtures of the report's tests."""

from pathlib import Path
from typing import Any

import pytest
from support import made_up_run


@pytest.fixture
def make_run(tmp_path: Path) -> made_up_run.MakeRun:
    """A function that writes the made-up run."""

    def make(lines: list[dict[str, Any]] | None = None) -> Path:
        run = tmp_path / "made & up"
        made_up_run.write_run(run, made_up_run.metrics() if lines is None else lines)
        return run

    return make
