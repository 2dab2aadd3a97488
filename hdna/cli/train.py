"""`hdna train`: train a recipe and show its progress."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from hdna.cli.arguments import Overrides, Recipe
from hdna.progress import Progress
from hdna.run.events import CheckpointSaved, Event, StepDone
from hdna.run.step_record import StepRecord


def train(
    recipe: Recipe,
    overrides: Overrides = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask at a terminal before a run of more than a day.")
    ] = False,
) -> None:
    """Train a recipe, on this machine or on the Ray cluster this command was submitted to.

    The same command resumes a run that was stopped at any point.

    \b
    Example:
      hdna train quickstart run.url=runs/first optim.learning_rate=3e-4
      ray job submit --working-dir . -- hdna train recipe.yaml run.url=s3://bucket/run
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.config import load_recipe
    from hdna_cluster.launch import launch

    # A script's background job (`hdna train ... &`) starts with SIGINT ignored; a run must still stop on it, cleanly.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config = load_recipe(recipe, overrides or [])
    started = time.monotonic()
    with Progress() as display:
        launch(config, lambda event: shown(display, event), lambda question: yes or _agreed(display, question))
    typer.echo(f"{config.run.url}: done in {time.monotonic() - started:.0f} s; now: hdna report {config.run.url}")


def _agreed(display: Progress, question: str) -> bool:
    """The answer at a terminal; elsewhere nobody is there to give one, and the run starts."""
    if not at_terminal():
        return True
    with display.paused():
        return typer.confirm(question, err=True)


def at_terminal() -> bool:
    """Whether somebody can answer: standard input is a terminal, of which this is no background job."""
    return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


def shown(display: Progress, event: Event) -> None:
    """Show an event. Raises an error, which ends no run, when the terminal is gone."""
    try:
        _show(display, event)
    except SystemExit:  # rich's answer to a closed pipe
        raise BrokenPipeError("the pipe that the output goes to is closed") from None


def _show(display: Progress, event: Event) -> None:
    """Texts, checkpoints and evaluations stay on the terminal; other steps only move the bar."""
    if isinstance(event, str):
        display.print(event)
    elif isinstance(event, CheckpointSaved):
        display.print(f"checkpoint {event.url}")
    elif isinstance(event, StepDone):
        record = event.record
        keep = record.valid_loss is not None or record.step == event.steps
        display.update(record.step, event.steps, _line(record, event.steps), keep)
        if record.valid_sets and len(record.valid_sets) > 1:
            display.print(_sets_line(record.valid_sets))


def _sets_line(sets: Mapping[str, Mapping[str, float | None]]) -> str:
    """The score of each assembly."""
    bits = {name: own["bits_per_base"] for name, own in sets.items()}
    return "  valid by assembly: " + ", ".join(f"{name} {value:.4f}" for name, value in bits.items() if value)


def _line(record: StepRecord, steps: int) -> str:
    """One step in words."""
    if record.bits_per_base is not None:
        loss = f"{record.bits_per_base:.4f} bits/base"
    else:
        loss = "not finite: skipped" if record.predicted_bases else "nothing but N"
    valid = f", valid {record.valid_bits_per_base:.4f}" if record.valid_bits_per_base is not None else ""
    if record.valid_bits_by_context:
        scores = record.valid_bits_by_context.items()
        valid = ", valid " + " ".join(f"{bits:.4f} at {int(context):,}" for context, bits in scores)
    return (
        f"step {record.step}/{steps} context {record.context_length:,}: {loss}{valid}, "
        f"{record.tokens_per_second or 0:,.0f} tokens/s"
    )
