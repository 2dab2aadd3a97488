"""`hdna train`: train a recipe and show its progress."""

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hdna.cli.arguments import Json, Overrides, Recipe
from hdna.cli.run_display import RunDisplay
from hdna.progress import Progress
from hdna.quantities import duration

if TYPE_CHECKING:
    from hdna.run.status import RunStatus


def train(
    recipe: Recipe,
    overrides: Overrides = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask at a terminal before a run of more than a day.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a recipe, on this machine or on a Ray cluster.

    As a submitted Ray job it runs on that cluster. The same command resumes a run that was stopped at any point.
    Progress goes to stderr, the result to stdout.

    \b
    Example:
      hdna train quickstart run.url=runs/first optim.learning_rate=3e-4
      hdna train quickstart --json > result.json
      ray job submit --working-dir . -- hdna train my.yaml run.url=s3://bucket/run
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.config import load_recipe
    from hdna.run.status import read_status
    from hdna_cluster.launch import launch

    # A script's background job (`hdna train ... &`) starts with SIGINT ignored; a run must still stop on it, cleanly.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config = load_recipe(recipe, overrides or [])
    with Progress() as display:
        launch(config, RunDisplay(display), recipe, lambda question: yes or _agreed(display, question))
    url, status = config.run.url, read_status(config.run.url)
    if as_json:
        typer.echo(json.dumps({"run": url, **(asdict(status) if status else {})}))
    else:
        typer.echo(_result(url, status))


def _agreed(display: Progress, question: str) -> bool:
    """The answer at a terminal; elsewhere nobody is there to give one, and the run starts."""
    if not at_terminal():
        return True
    with display.paused():
        return typer.confirm(question, err=True)


def at_terminal() -> bool:
    """Whether somebody can answer: standard input is a terminal, of which this is no background job."""
    return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


def _result(url: str, status: "RunStatus | None") -> str:
    """The run's end, and what to do with it."""
    lines = [url]
    if status:
        lines.append(
            f"  {status.status} after {status.step:,} steps, {status.tokens:,} tokens, {duration(status.wall_seconds)}"
        )
        if status.valid_bits_per_base is not None:
            lines.append(
                f"  valid {status.valid_bits_per_base:.4f} bits per base, context {status.context_length:,}; "
                f"best {status.best_valid_bits_per_base:.4f}, step {status.best_valid_step:,}"
            )
        lines.append(f"  {status.last_checkpoint}")
    return "\n".join([*lines, f"  next: hdna report {url}"])
