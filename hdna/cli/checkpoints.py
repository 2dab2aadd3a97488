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
    r"""List a run's committed checkpoints.

    \b
    Example:
      hdna checkpoints list runs/quickstart
    """
    from hdna.checkpoint import list_checkpoints, read_state
    from hdna.errors import InputError

    refs = list_checkpoints(url)
    if not refs:
        raise InputError(f"{url}: holds no checkpoint")
    for ref in refs:
        state = read_state(ref.url)
        typer.echo(f"{ref.url}  step {ref.step:,}, {state.tokens:,} tokens, stage {state.stage}")


@app.command()
def verify(url: RunUrl) -> None:
    r"""Check every checksum of a run's checkpoints; exit 1 when one does not hold.

    \b
    Example:
      hdna checkpoints verify s3://bucket/run
    """
    from hdna.checkpoint import checkpoint_damage, list_checkpoints
    from hdna.errors import InputError

    refs = list_checkpoints(url)
    if not refs:
        raise InputError(f"{url}: holds no checkpoint")
    damaged = 0
    for ref in refs:
        problem = checkpoint_damage(ref.url)
        damaged += problem is not None
        typer.echo(f"{ref.url}: {problem or 'whole'}")
    if damaged:
        raise typer.Exit(1)


@app.command()
def prune(
    url: RunUrl,
    keep_last: Annotated[int, typer.Option(min=1, help="Newest checkpoints that stay.")] = 3,
    keep_every: Annotated[int, typer.Option(min=0, help="Multiples of this many steps stay too; 0: none.")] = 0,
) -> None:
    r"""Remove old checkpoints.

    \b
    Example:
      hdna checkpoints prune runs/quickstart --keep-last 1
    """
    from hdna.checkpoint import prune as prune_checkpoints

    for ref in prune_checkpoints(url, keep_last, keep_every):
        typer.echo(f"removed {ref.url}")
