"""`hdna runs`: which folders are runs, their order, and what each row says; nothing below a run or a set is listed."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.command_line import hdna
from support.levels import heard_levels
from typer.testing import CliRunner

from hdna.cli import app
from hdna.run.overview import runs_below
from hdna.run.status import LOST_AFTER_S, RunStatus


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_run(url: Path, **state: Any) -> None:  # noqa: ANN401
    (url / "checkpoints" / "step-000001").mkdir(parents=True)
    (url / "recipe.yaml").write_text("never read")
    (url / "state.json").write_text(json.dumps(asdict(RunStatus(**state))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five runs, at several depths, beside a shard set, a hidden folder and a link that leads up."""
    make_run(tmp_path / "old", status="done", heartbeat=ago(86_400 * 3), step=10, steps=10)
    make_run(tmp_path / "new", status="failed", heartbeat=ago(3_600 * 2), message="no space left", step=1, steps=10)
    make_run(
        tmp_path / "grid" / "lr" / "high",
        heartbeat=ago(5),
        recipe="recipes/tiny.yaml",
        step=30,
        steps=120,
        tokens=30 * 8192,
        seconds_left=7200.0,
        best_valid_bits_per_base=1.91234,
    )
    make_run(tmp_path / "grid" / "gone", heartbeat=ago(LOST_AFTER_S + 60), seconds_left=99.0)
    make_run(tmp_path / "damaged")
    (tmp_path / "damaged" / "state.json").write_text("{")
    for hidden in (tmp_path / "set", tmp_path / ".trash"):
        make_run(hidden / "deeper" / "run")
    (tmp_path / "set" / "manifest.json").write_text("{}")
    (tmp_path / "grid" / "up").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def test_those_that_go_on_come_first_then_lost_ones_then_the_newest(folder: Path) -> None:
    found = [(run.name, run.status) for run in runs_below(str(folder))]
    assert found == [
        ("grid/lr/high", "running"),
        ("grid/gone", "lost"),
        ("new", "failed"),
        ("old", "done"),
        ("damaged", "unknown"),
    ]


def test_nothing_below_a_run_or_a_set_is_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = heard_levels(monkeypatch)
    runs_below(str(folder))
    names = {Path(url).relative_to(folder).as_posix() for url in listed}
    assert names == {".", "old", "new", "grid", "grid/lr", "grid/lr/high", "grid/gone", "damaged", "set"}
    assert len(listed) == len(names)


def test_a_run_itself_is_a_list_of_one(folder: Path) -> None:
    assert [run.url for run in runs_below(str(folder / "old"))] == [str(folder / "old")]


def test_rows_fit_80_columns_and_say_why_a_run_has_failed(folder: Path) -> None:
    text = hdna("runs", folder)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^running +\d+ s +tiny\.yaml +246k +25% +1\.9123 +2\.0 h +grid/lr/high$", text, re.MULTILINE)
    assert "new: no space left" in text


def test_programs_get_json(folder: Path) -> None:
    found = json.loads(hdna("runs", folder, "--json"))
    assert [run["status"] for run in found] == ["running", "lost", "failed", "done", "unknown"]
    assert found[0]["best_valid_bits_per_base"] == 1.91234 and found[0]["seconds_left"] == 7200.0
    assert found[1]["seconds_left"] is None, "a lost run gets no nearer to its end"
    assert found[4]["run"] == str(folder / "damaged")


def test_a_folder_without_runs_is_no_error_and_a_missing_one_is(tmp_path: Path) -> None:
    empty = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert (empty.exit_code, empty.stdout) == (0, "") and "no run here or below" in empty.stderr
    assert hdna("runs", tmp_path, "--json") == "[]\n"
    missing = CliRunner().invoke(app, ["runs", str(tmp_path / "missing")])
    assert missing.exit_code == 1 and str(tmp_path / "missing") in str(missing.exception)
