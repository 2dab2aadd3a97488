"""`hdna doctor`: what this machine has for training, and how to fix what is missing."""

from typing import Annotated

import typer


def doctor(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="Bucket or folder to test writing to.")] = None,
) -> None:
    """Check what this machine has for training.

    Says how to fix what is missing.

    \b
    Example:
      hdna doctor s3://bucket/runs
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna_cluster.doctor import examine

    healthy = True
    for finding in examine(url):
        healthy &= finding.ok
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}" + (f": {finding.fix}" if finding.fix else ""))
    if not healthy:
        raise typer.Exit(1)
