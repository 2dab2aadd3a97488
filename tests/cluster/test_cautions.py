"""What is said before a run, the question about a long one, and how long it takes: against counts by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hdna_cluster.launch
from hdna.cli import app
from hdna.config import RunConfig, load_recipe
from hdna.devices import DEVICES
from hdna.errors import InputError
from hdna.genome.shard_set import load_shard_set
from hdna.run.events import Event, StepDone
from hdna.run.step_record import StepRecord
from hdna_cluster import cautions, expected_time
from hdna_cluster.cautions import Hardware, hardware, heed
from hdna_cluster.expected_time import FirstPace, expected_seconds
from hdna_cluster.plan import plan

ROOMY = Hardware(False, memory_bytes=64 << 30)


@pytest.fixture
def config(tiny_recipe: Path) -> RunConfig:
    return load_recipe(str(tiny_recipe))


def said(config: RunConfig, has: Hardware = ROOMY) -> list[str]:
    """The lines of the block, without its head."""
    texts: list[str] = []
    heed(config, has, 0, texts.append, lambda question: True)
    return [line.strip() for text in texts for line in text.splitlines()[1:]]


def longer(config: RunConfig, tokens: float) -> RunConfig:
    """The same with a last stage up to so many tokens."""
    first, last = config.curriculum
    return replace(config, curriculum=[first, replace(last, until_tokens=int(tokens))])


def test_nothing_is_said_of_a_run_that_fits(config: RunConfig) -> None:
    assert said(config) == []


def test_passes_are_tokens_over_the_bases_of_each_set(config: RunConfig, tiny_set: Path) -> None:
    bases = load_shard_set(str(tiny_set)).totals["train"].bases
    ten = 10 * bases // 2048 * 2048
    assert said(longer(config, ten)) == []
    (line,) = said(longer(config, 12 * bases))
    assert line.startswith(f"12 passes over the {bases:,} train bases of {tiny_set}")
    twice = replace(config.data, shards=[str(tiny_set)] * 2, weights=[3.0, 1.0])
    (line,) = said(replace(longer(config, 16 * bases), data=twice))
    assert line.startswith("12 passes")


def test_bf16_without_hardware_for_it(config: RunConfig) -> None:
    bf16 = replace(config, parallel=replace(config.parallel, precision="bf16"))
    assert "bf16 on CPUs" in said(bf16)[0]
    assert "bf16 on T4" in said(bf16, Hardware(True, ("A10", "T4")))[0]
    assert said(bf16, Hardware(True, ("H100",), 80 << 30)) == said(config) == []


def test_memory_that_is_not_there(config: RunConfig) -> None:
    (line,) = said(config, Hardware(False, memory_bytes=1 << 20))
    assert line.startswith("stage 1 takes about 0.0 GiB on each worker, which has 0.0")


def test_hardware_as_ray_lists_it() -> None:
    node = {"CPU": 8.0, "memory": 6e9, "object_store_memory": 2e9}
    nodes = [{"Alive": True, "Resources": node}, {"Alive": False, "Resources": {"CPU": 8.0, "memory": 1.0}}]
    assert hardware(nodes, {"CPU": 2.0}) == Hardware(False, (), 2 * 10**9)
    gpus = [{"Alive": True, "Resources": {**node, "GPU": 8.0, "accelerator_type:H100": 1.0}}]
    assert hardware(gpus, {"GPU": 1.0, "CPU": 1.0}) == Hardware(True, ("H100",), 80 * 10**9)
    assert hardware(gpus, {"GPU": 1.0}).device == DEVICES["h100"]


@pytest.mark.parametrize(("hours", "asked"), [(None, 0), (23.9, 0), (24.1, 1)])
def test_more_than_a_day_is_asked_about(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, hours: float | None, asked: int
) -> None:
    monkeypatch.setattr(cautions, "expected_seconds", lambda *rest: hours and 3600 * hours)
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    if asked:
        with pytest.raises(InputError, match="not started, as you answered"):
            heed(config, ROOMY, 0, print, no)
    else:
        heed(config, ROOMY, 0, print, no)
    assert len(questions) == asked


def test_time_before_the_start_from_measurements(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `hdna plan` for H200s, by the steps that are left. What is not measured is timed, but no run of a minute."""
    monkeypatch.setattr(expected_time, "_timed_apart", lambda *rest: pytest.fail("timed"))
    full = load_recipe("tiny_1k_d256", ["curriculum.4.until_tokens=1e12"])
    *earlier, last = plan(full, DEVICES["h200"]).stages
    assert last.expected_step is not None
    for done in (0, last.stage.first_step + 1000):
        before = 0.0 if done else sum(stage.expected_seconds or 0.0 for stage in earlier)
        seconds = before + (last.stage.end_step - max(done, last.stage.first_step)) * last.expected_step
        assert expected_seconds(full, True, DEVICES["h200"], done) == pytest.approx(seconds)
    assert expected_seconds(full, True, DEVICES["h200"], last.stage.end_step) is None
    assert expected_seconds(config, False, None) is None
    monkeypatch.setattr(expected_time, "_timed_apart", lambda *rest: 1e11)
    large = load_recipe("large_1m")  # which shares samples between workers
    flops = expected_time._flops_left(large, 0)
    assert expected_seconds(large, True, DEVICES["h200"]) == pytest.approx(flops / 1e11 / 8)
    assert expected_seconds(load_recipe("tiny_16k"), False, None) == pytest.approx(
        expected_time._flops_left(load_recipe("tiny_16k"), 0) / 1e11
    )
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere")
    assert expected_seconds(load_recipe("tiny_16k"), False, None) is None


def test_the_first_steps_say_how_long_the_rest_takes(config: RunConfig) -> None:
    """One stage, 100 seconds a step but for the first three: the 989 steps after the eleventh take 27.47 hours."""
    config = replace(config, curriculum=[replace(config.curriculum[1], until_tokens=1000 * 2048)])
    heard: list[Event] = []
    pace = FirstPace(config, heard.append)
    for step in range(1, 15):
        seconds = 5000.0 if step <= 3 else 100.0
        record = StepRecord(step=step, tokens=0, stage=0, context_length=512, tokens_per_second=2048 / seconds)
        pace(StepDone(record, 1000))
    texts = [event for event in heard if isinstance(event, str)]
    assert texts == ["at the pace of steps 4-11 the rest takes about 27 h, evaluations and checkpoints not counted"]
    assert len(heard) == 15


@pytest.mark.parametrize(
    ("terminal", "words", "typed", "starts"),
    [
        (False, [], "", True),  # a submitted job: nobody is there to answer
        (True, [], "n\n", False),
        (True, [], "y\n", True),
        (True, ["--yes"], "", True),
    ],
)
def test_the_question_is_for_a_terminal(
    terminal: bool, words: list[str], typed: str, starts: bool, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []
    monkeypatch.setattr(
        hdna_cluster.launch, "launch", lambda config, show, recipe, agree: answers.append(agree("Start?"))
    )
    monkeypatch.setattr(sys.modules["hdna.cli.train"], "at_terminal", lambda: terminal)
    result = CliRunner().invoke(app, ["train", str(tiny_recipe), *words], input=typed)
    assert result.exit_code == 0, result.output
    assert answers == [starts]
    assert ("Start?" in result.output) == (terminal and not words)


def test_a_pipe_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/null").open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert not sys.modules["hdna.cli.train"].at_terminal()
