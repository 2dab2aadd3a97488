"""The script that measures a first result counts and times what it runs, and its JSON is evidence that is read."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
from support import made_up_run

from hdna.downstream.benefits.bodies import FirstResult
from hdna.storage.untrusted_json import parse_json

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, in a folder that its run has been made up in."""
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    made_up_run.write_run(Path("runs", "first"), made_up_run.metrics())
    return importlib.import_module("first_result")


def test_what_is_run_is_counted_and_its_result_read(script: ModuleType) -> None:
    ran: list[str] = []

    def run(line: str) -> object:
        ran.append(line)
        return script.Ended(0, "one\ntwo" if len(ran) > len(script.STEPS) else "")

    found: FirstResult = script.measure(run, 1_000)
    assert [command.command for command in found.commands] == ran[: len(script.STEPS)]
    assert ran[0] == "hdna prep genome genome.fa --out genome.zarr"
    assert found.edits == 2 + 3 + 3 + 1 and found.yaml_lines == 0
    assert found.valid_bits_per_base == 1.951 and found.markov_bits_per_base == 1.93
    assert [mistake.mistake for mistake in found.mistakes] == list(script.MISTAKES)
    assert {(mistake.message, mistake.lines) for mistake in found.mistakes} == {("one\ntwo", 2)}
    assert parse_json(json.dumps(asdict(found)).encode(), FirstResult, "first_result.json", "") == found


def test_a_step_that_fails_ends_it_with_its_message(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"hdna prep genome .*: no such file"):
        script.measure(lambda line: script.Ended(1, "no such file"), 1_000)
