"""`hdna checkpoints`: list, verify and prune a run's checkpoints."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdna.cli.arguments import Json, RunUrl

if TYPE_CHECKING:
    from hdna.checkpoint import CheckpointRef

app = typer.Typer(
    name="checkpoints",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, verify and prune a run's checkpoints.",
)


@app.command("list")
def list_(url: RunUrl, as_json: Json = False) -> None:
    """List a run's committed checkpoints.

    Exit status 1 if one is damaged.

    \b
    Example:
      hdna checkpoints list runs/quickstart
      hdna checkpoints list s3://bucket/run --json
    """  # noqa: D301  (\b keeps the example on its own line)
    found = [_about(ref) for ref in _checkpoints(url)]
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(map(_line, found)))
    if any(one["damage"] for one in found):
        raise typer.Exit(1)


def _about(ref: "CheckpointRef") -> dict[str, Any]:
    """`damage` says why its state.json cannot be read; then tokens and stage are unknown, null."""
    from hdna.checkpoint import read_state
    from hdna.errors import InputError

    try:
        state = read_state(ref.url)
    except InputError as error:
        return {"checkpoint": ref.url, "step": ref.step, "tokens": None, "stage": None, "damage": str(error)}
    return {"checkpoint": ref.url, "step": ref.step, "tokens": state.tokens, "stage": state.stage, "damage": None}


def _line(found: dict[str, Any]) -> str:
    if found["damage"]:
        return f"{found['checkpoint']}  damaged: {found['damage']}"
    return f"{found['checkpoint']}  step {found['step']:,}, {found['tokens']:,} tokens, stage {found['stage']}"


@app.command()
def verify(url: RunUrl) -> None:
    """Check every checksum of a run's checkpoints.

    Exit status 1 if one does not match.

    \b
    Example:
      hdna checkpoints verify s3://bucket/run
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.checkpoint import checkpoint_damage

    damaged = 0
    for ref in _checkpoints(url):
        problem = checkpoint_damage(ref.url)
        damaged += problem is not None
        typer.echo(f"{ref.url}: {problem or 'intact'}")
    if damaged:
        raise typer.Exit(1)


@app.command()
def prune(
    url: RunUrl,
    keep_last: Annotated[int, typer.Option(min=1, help="How many of the newest to keep.")] = 3,
    keep_every: Annotated[int, typer.Option(min=0, help="Also keep multiples of this many steps; 0: none.")] = 0,
) -> None:
    """Remove old checkpoints.

    \b
    Example:
      hdna checkpoints prune runs/quickstart --keep-last 1
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.checkpoint import prune as prune_checkpoints

    before = len(_checkpoints(url))
    for removed in prune_checkpoints(url, keep_last, keep_every):
        typer.echo(f"removed {removed}")
    typer.echo(f"{url}: {len(_checkpoints(url))} of {before} checkpoints left")


def _checkpoints(url: str) -> list["CheckpointRef"]:
    """The committed checkpoints of a run. Raises InputError when there is none."""
    from hdna.checkpoint import list_checkpoints
    from hdna.errors import InputError

    refs = list_checkpoints(url)
    if not refs:
        raise InputError(f"{url}: contains no committed checkpoint: give the run.url of a training run")
    return refs
