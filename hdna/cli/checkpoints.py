"""`hdna checkpoints`: list, verify and prune a run's checkpoints."""

from typing import TYPE_CHECKING, Annotated

import typer

from hdna.cli.arguments import RunUrl

if TYPE_CHECKING:
    from hdna.checkpoint import CheckpointRef

app = typer.Typer(
    name="checkpoints",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, verify and prune a run's checkpoints.",
)


@app.command("list")
def list_(url: RunUrl) -> None:
    """List a run's committed checkpoints.

    \b
    Example:
      hdna checkpoints list runs/quickstart
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.checkpoint import read_state
    from hdna.errors import InputError

    damaged = 0
    for ref in _checkpoints(url):
        try:
            state = read_state(ref.url)
            typer.echo(f"{ref.url}  step {ref.step:,}, {state.tokens:,} tokens, stage {state.stage}")
        except InputError as error:
            damaged += 1
            typer.echo(f"{ref.url}  damaged: {error}")
    if damaged:
        raise typer.Exit(1)


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
