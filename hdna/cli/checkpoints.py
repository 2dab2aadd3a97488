"""`hdna checkpoints`: list, verify and prune a run's checkpoints."""

from typing import Annotated

import typer

from hdna.cli.arguments import RunUrl

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
    from hdna.checkpoint import list_checkpoints, read_state
    from hdna.errors import InputError

    refs = list_checkpoints(url)
    if not refs:
        raise InputError(f"{url}: contains no committed checkpoint: give the run.url of a training run")
    damaged = 0
    for ref in refs:
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
    """Check every checksum of a run's checkpoints; exit 1 if one does not match.

    \b
    Example:
      hdna checkpoints verify s3://bucket/run
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.checkpoint import checkpoint_damage, list_checkpoints
    from hdna.errors import InputError

    refs = list_checkpoints(url)
    if not refs:
        raise InputError(f"{url}: contains no committed checkpoint: give the run.url of a training run")
    damaged = 0
    for ref in refs:
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

    for removed in prune_checkpoints(url, keep_last, keep_every):
        typer.echo(f"removed {removed}")
