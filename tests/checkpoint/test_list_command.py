"""`hdna checkpoints list`: a line for each, or JSON for programs; a damaged one is told apart."""

import json
from pathlib import Path

import pytest
from support.fuzz_doors import save_checkpoint
from typer.testing import CliRunner

from hdna.checkpoint import RunState
from hdna.cli import app


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (1, 2):
        save_checkpoint(tmp_path / "run", RunState(step=step, tokens=1024 * step))
    return tmp_path / "run"


def test_programs_get_a_list(run: Path) -> None:
    done = CliRunner().invoke(app, ["checkpoints", "list", str(run), "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and done.stderr == ""
    assert [one["checkpoint"] for one in found] == [str(run / "checkpoints" / f"step-00000{step}") for step in (1, 2)]
    assert [(one["step"], one["tokens"], one["stage"], one["damage"]) for one in found] == [
        (1, 1024, 0, None),
        (2, 2048, 0, None),
    ]


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_damaged_one_is_listed_with_its_damage_and_exit_status_1(run: Path, how: list[str]) -> None:
    (run / "checkpoints" / "step-000002" / "MANIFEST.json").write_text("{")
    done = CliRunner().invoke(app, ["checkpoints", "list", str(run), *how])
    assert done.exit_code == 1
    if how:
        whole, damaged = json.loads(done.stdout)
        assert whole["damage"] is None and whole["tokens"] == 1024
        assert damaged["step"] == 2 and damaged["tokens"] is damaged["stage"] is None
        assert "not valid JSON" in damaged["damage"]
    else:
        whole, damaged = done.stdout.splitlines()
        assert whole.endswith("step 1, 1,024 tokens, stage 0") and "damaged: " in damaged
