"""`hdna train`: train a recipe, and show how it goes."""

import time
from typing import Any

import typer

from hdna.cli.arguments import Overrides, Recipe


def train(
    recipe: Recipe,
    overrides: Overrides = None,
) -> None:
    r"""Train a recipe: on this machine, or on the Ray cluster that this command was submitted to.

    A run stopped at any moment continues with the same command.

    \b
    Example:
      hdna train quickstart run.url=runs/first optim.learning_rate=3e-4
      ray job submit --working-dir . -- hdna train recipe.yaml run.url=s3://bucket/run
    """
    from hdna.config import load_recipe
    from hdna_cluster.launch import launch

    config = load_recipe(recipe, overrides or [])
    started = time.monotonic()
    typer.echo("starting Ray and DeepSpeed ...")
    with _Progress() as show:
        launch(config, show)
    typer.echo(f"{config.run.url}: done in {time.monotonic() - started:.0f} s; now: hdna report {config.run.url}")


class _Progress:
    """Shows what a run reports: text as it is, steps as a bar on a terminal or as a line every few seconds."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        if "text" in event:
            self._console.print(event["text"], highlight=False, markup=False, soft_wrap=True)
            return
        if self._console.is_terminal:
            self._move_bar(event)
        elif time.monotonic() - self._last >= 5 or "valid_loss" in event or event["step"] == event["steps"]:
            self._last = time.monotonic()
            self._console.print(_line(event), highlight=False, markup=False, soft_wrap=True)

    def _move_bar(self, event: dict[str, Any]) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=self._console
            )
            self._task = self._bar.add_task("", total=event["steps"])
            self._bar.start()
        self._bar.update(self._task, completed=event["step"], description=_line(event))
        if "valid_loss" in event:
            self._bar.print(_line(event), highlight=False, markup=False)


def _line(event: dict[str, Any]) -> str:
    """One step in words."""
    if event["bits_per_base"] is not None:
        loss = f"{event['bits_per_base']:.4f} bits/base"
    else:
        loss = "not finite: skipped" if event["predicted_bases"] else "nothing but N"
    valid = f", valid {event['valid_bits_per_base']:.4f}" if "valid_bits_per_base" in event else ""
    return (
        f"step {event['step']}/{event['steps']} context {event['context_length']:,}: {loss}{valid}, "
        f"{event['tokens_per_second']:,.0f} tokens/s"
    )
