"""What is shown of a run: lines that fit 80 columns, with time and time left; nothing of it on stdout."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import hdna.progress
from hdna.cli.run_display import RunDisplay
from hdna.progress import Progress, progress
from hdna.quantities import duration, short
from hdna.run.events import CheckpointSaved, Doing, Event, StepDone, WorkersStarted
from hdna.run.step_record import StepRecord

COLUMNS = 80
BLOCK = "hdna: run begins\n" + "stage 0 " + "samples x tokens " * 12


def step(number: int, steps: int, context: int = 1024, seconds: float = 1.0, **scores: Any) -> StepDone:  # noqa: ANN401
    record = StepRecord(
        number, number * 8192, 0, context, bits_per_base=1.92694, tokens_per_second=28_355.0, seconds=seconds, **scores
    )
    return StepDone(record, steps)


def evaluated(number: int, steps: int, context: int = 1024) -> StepDone:
    return step(number, steps, context, valid_loss=1.342, valid_bits_per_base=1.9361, valid_bases=9)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to a log instead of stderr."""
    return _console(monkeypatch, terminal=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to a terminal of 80 columns."""
    return _console(monkeypatch, terminal=True)


def _console(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> io.StringIO:
    written = io.StringIO()
    console = Console(file=written, width=COLUMNS, force_terminal=terminal, force_interactive=terminal)
    monkeypatch.setattr(hdna.progress, "Console", lambda **_: console)
    return written


def test_a_log_line_has_time_score_and_the_time_left(shown: io.StringIO) -> None:
    """200 steps of a second each. Steps without an evaluation are no lines within the first seconds."""
    with Progress() as display:
        show = RunDisplay(display)
        show(evaluated(167, 367))
        show(step(168, 367))
    (line,) = shown.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d step 167/367 at 1,024: 1\.9269 bits/base, valid 1\.9361, 3 min left", line), (
        line
    )


@pytest.mark.parametrize(
    "event", [evaluated(367, 367), evaluated(1, 100_000, 1_048_576), step(99_999, 99_999, 1 << 20)]
)
def test_lines_that_stay_fit_80_columns(event: StepDone, shown: io.StringIO) -> None:
    with Progress() as display:
        RunDisplay(display)(event)
    (line,) = shown.getvalue().splitlines()
    assert len(line) <= COLUMNS
    assert "1.9269 bits/base" in line and ("valid" in line) == (event.record.valid_loss is not None)


def test_what_goes_on_is_said_where_no_step_is_done(shown: io.StringIO) -> None:
    checkpoint = CheckpointSaved(9, "s3://b/run/step-000009")
    events: tuple[Event, ...] = (Doing("starting Ray"), WorkersStarted(2), BLOCK, checkpoint)
    with Progress() as display:
        show = RunDisplay(display)
        for event in events:
            show(event)
    said = [line.partition(" ")[2] for line in shown.getvalue().splitlines()]
    assert said[0] == "starting Ray ..." and said[1] == "loading data and model on 2 worker(s) ..."
    assert said[-1] == "checkpoint step-000009"
    assert shown.getvalue().count(BLOCK) == 1, "a log's lines are not folded: they are searched"


def test_a_terminal_of_80_columns_holds_every_frame_and_no_line_twice(terminal: io.StringIO) -> None:
    steps = (step(number, 99_999, 1 << 20) for number in range(9))
    events: tuple[Event, ...] = (Doing("starting Ray"), BLOCK, *steps, evaluated(10, 10))
    with Progress() as display:
        show = RunDisplay(display)
        for event in events:
            show(event)
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n").splitlines()
    assert max(map(len, frames)) <= COLUMNS
    assert sum("valid 1.9361" in frame for frame in frames) == 1
    assert any("starting Ray" in frame and frame.rstrip().endswith("0 s") for frame in frames)


def test_an_amount_is_shown_before_any_of_it_is_done(terminal: io.StringIO) -> None:
    """`hdna prep shards` hears of nothing before the first shard is full."""
    with progress(3_100_000_000, "writing shards", "bases"):
        pass
    assert "writing shards: 0 of 3,100,000,000 bases (0 %)" in terminal.getvalue()


def test_a_log_has_the_amount_the_time_taken_and_the_time_left(
    shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line every five seconds; a quarter after ten seconds leaves thirty."""
    now = [100.0]
    monkeypatch.setattr(hdna.progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with progress(400, "writing shards", "bases") as advance:
        for seconds, units in ((10.0, 100), (1.0, 200), (9.0, 100)):
            now[0] += seconds
            advance(units)
    assert shown.getvalue().splitlines() == [
        "writing shards: 100 of 400 bases (25 %), 10 s, 30 s left",
        "writing shards: 400 of 400 bases (100 %), 20 s, 0 s left",
    ]


def test_of_an_unknown_total_no_time_left_is_said(shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdna.progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress(None, "reading", "bytes") as advance:
        advance(7)
    assert shown.getvalue().splitlines()[-1] == "reading: 7 bytes, 0 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (43_200, "12 h"), (2.5e5, "2.9 d")],
)
def test_times_in_few_letters(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (28_355, "28.4k"), (999_600, "1.00M"), (3.1e9, "3.10G")],
)
def test_large_numbers_in_few_letters(number: float, text: str) -> None:
    assert short(number) == text


def test_a_wish_for_colors_makes_no_terminal_of_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the cells of Jupyter."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Progress() as display:
        display.begin("loading", "loading ...")
        display.update(1, 2, "loading", "half", keep=True)
    assert capsys.readouterr().err == "loading ...\nhalf\n"
