"""`hdna train` on a run that has come to its end: it answers from the run's files, without Ray; results on stdout."""

import json
from pathlib import Path

import pytest
from support.fuzz_doors import save_checkpoint
from typer.testing import CliRunner

import hdna_cluster.launch
from hdna.checkpoint import RunState
from hdna.cli import app
from hdna.config import dump_recipe, load_recipe

STATUS = {
    "status": "done",
    "step": 10,
    "steps": 10,
    "tokens": 20480,
    "context_length": 512,
    "wall_seconds": 5400.0,
    "last_checkpoint": "run/checkpoints/step-000010",
    "valid_bits_per_base": 1.95,
    "best_valid_bits_per_base": 1.9375,
    "best_valid_step": 8,
}


@pytest.fixture
def finished(tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of the command whose run is done. Ray cannot be started."""
    url = tmp_path / "run"
    words = ["train", str(tiny_recipe), f"run.url={url}"]
    save_checkpoint(url, RunState(step=10, tokens=20480))
    (url / "recipe.yaml").write_text(dump_recipe(load_recipe(words[1], words[2:])))
    (url / "state.json").write_text(json.dumps(STATUS))
    monkeypatch.delattr(hdna_cluster.launch, "ray_session")
    return words


def test_it_says_so_on_stderr_and_gives_its_result_on_stdout(finished: list[str]) -> None:
    done = CliRunner().invoke(app, finished)
    assert done.exit_code == 0, done.output
    assert "all 10 steps are done already" in done.stderr
    url = finished[2].removeprefix("run.url=")
    assert done.stdout.splitlines() == [
        url,
        "  done after 10 steps, 20,480 tokens, 1.5 h",
        "  valid 1.9500 bits per base, context 512; best 1.9375, step 8",
        "  run/checkpoints/step-000010",
        f"  next: hdna report {url}",
    ]


def test_programs_get_json_and_nothing_else(finished: list[str]) -> None:
    done = CliRunner().invoke(app, [*finished, "--json"])
    found = json.loads(done.stdout)
    assert found["run"] == finished[2].removeprefix("run.url=")
    assert STATUS.items() <= found.items()
