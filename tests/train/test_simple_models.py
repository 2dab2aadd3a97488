"""The simple models that a run's scores stand beside: what is said while they are counted."""

from pathlib import Path

import numpy as np
import pytest
from support.spelled_windows import Windows

import hdna.progress
from hdna.evaluate.scored_sets import ScoredSet
from hdna.run.events import Doing, Event
from hdna.run.files import BASELINES, read_json
from hdna.train.scoring import keep_baselines


def test_the_amount_is_said_first_and_how_much_of_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdna.progress, "_SECONDS_BETWEEN_LINES", 0.0)
    train, valid = Windows("ACGTACGTACGT", "ACGTACGTACGT"), Windows("ACGTACGT")
    events: list[Event] = []
    sets = [ScoredSet("train", np.arange(2), 10**9)], [ScoredSet("valid", np.arange(1), 10**9)]
    keep_baselines(str(tmp_path), train, valid, *sets, events.append)
    what = "counting the simple models"
    parts = ("12 of 32 bases (38 %)", "24 of 32 bases (75 %)", "32 of 32 bases (100 %)")
    assert events == [Doing(f"{what}: 32 bases"), *(Doing(f"{what}: {part}") for part in parts)]
    assert read_json(str(tmp_path), BASELINES)["valid_bases"] == 3


def test_nothing_to_count_leaves_no_file(tmp_path: Path) -> None:
    keep_baselines(str(tmp_path), Windows(), Windows(), [], [], lambda event: None)
    assert list(tmp_path.iterdir()) == []
