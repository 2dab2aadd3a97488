"""`hdna plan --price`: worker-hours of a made-up run, by hand."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import dump_recipe, load_recipe
from hdna.run.step_record import StepRecord

DONE = 10


def printed(*words: str) -> str:
    result = CliRunner().invoke(app, ["plan", *words])
    assert result.exit_code == 0, result.output
    return result.output


def begun(url: Path, recipe: str, batch_tokens: int, context: int) -> Path:
    """A run with ten steps of a recipe's first stage, on two workers, 3.6 s each; one of them was done twice."""
    url.mkdir()
    (url / "recipe.yaml").write_text(dump_recipe(load_recipe(recipe, [f"run.url={url}"])))
    steps = [*range(1, 6), 5, *range(6, DONE + 1)]
    records = [StepRecord(step, step * batch_tokens, 0, context, seconds=3.6, workers=2) for step in steps]
    (url / "metrics.jsonl").write_bytes(b"".join(record.to_line() for record in records))
    return url


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return begun(tmp_path / "run", "quickstart", 2048, 1024)


def test_what_has_been_measured_is_carried_on_to_the_end(run: Path) -> None:
    """A worker-hour is 500 steps; the recipe has 5,372. This device's rates are unknown."""
    text = printed("quickstart", "--device", "cpu", "--price", "2", f"run.url={run}")
    assert "at least      unknown" in text
    assert f"so far        0.02 worker-hours, 0.04, for {DONE * 2048 / 11e6:.1%} of the tokens" in text
    assert text.endswith(f"at this pace  {5372 / 500:.2f} worker-hours, {2 * 5372 / 500:.2f}\n")


def test_starts_and_repeated_steps_cost_too(run: Path) -> None:
    """Of 144 worker-seconds half went to steps that count, and so it will go on."""
    (run / "state.json").write_text(json.dumps({"status": "running", "worker_seconds": 144.0}))
    text = printed("quickstart", "--device", "cpu", "--price", "1", f"run.url={run}")
    assert "so far        0.04 worker-hours, 0.04" in text
    assert f"at this pace  {2 * 5372 / 500:.2f} worker-hours" in text


def test_a_stage_to_come_is_as_far_from_its_bound_as_the_one_before(tmp_path: Path) -> None:
    """So the whole run is to its bound what the first stage's steps are to theirs."""
    url = begun(tmp_path / "run", "large_1m", 128_000_000, 1000)
    text = printed("large_1m", "--price", "1", f"run.url={url}")
    whole_run_s = 3600 * float(text.partition("whole run: at least ")[2].split()[0])
    step_s = float(re.findall(r"^ +0  +([\d.]+)  +\w+  +unknown ", text, re.MULTILINE)[0])
    found = float(text.partition("at this pace ")[2].split()[0])
    assert found == pytest.approx(7.2 / 3600 * whole_run_s / step_s, rel=0.01), "printed with three digits"


def test_nothing_is_claimed_of_a_run_that_has_not_begun(tmp_path: Path) -> None:
    text = printed("large_1m", "--price", "2.50", f"run.url={tmp_path / 'run'}")
    hours = float(text.partition("whole run: at least ")[2].split()[0])
    least = float(text.partition("at least      ")[2].split()[0])
    assert least == pytest.approx(8 * hours, rel=0.01)
    assert text.endswith(f"so far        nothing: {tmp_path / 'run'} has no steps yet\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--price", "-1"], "--price: -1: want what one device costs for an hour"),
        (["--price", "nan"], "--price: nan: want what one device costs for an hour"),
        (
            ["--price", "1", "optim.learning_rate=1e-4"],
            "already contains another run: its optim.learning_rate is 0.006",
        ),
    ],
)
def test_bad_prices_and_runs_of_other_recipes_are_refused(words: list[str], line: str, run: Path) -> None:
    result = CliRunner().invoke(app, ["plan", "quickstart", f"run.url={run}", *words])
    assert result.exit_code != 0 and result.exception is not None
    assert line in str(result.exception)
