"""`hdna report`: the page about a run."""

from typing import Annotated

import typer

from hdna.cli.arguments import RunUrl


def report(
    url: RunUrl,
    out: Annotated[str | None, typer.Option(help="Folder to write to, instead of RUN_URL/report.")] = None,
) -> None:
    """Write a self-contained HTML page about a run.

    \b
    Example:
      hdna report runs/quickstart
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.report.page import write_report

    typer.echo(write_report(url, out))
