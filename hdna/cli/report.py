"""`hdna report`: the page that shows a run."""

from typing import Annotated

import typer

from hdna.cli.arguments import RunUrl


def report(
    url: RunUrl,
    out: Annotated[str | None, typer.Option(help="Folder to write to, instead of RUN_URL/report.")] = None,
) -> None:
    r"""Write a self-contained HTML page that shows a run.

    \b
    Example:
      hdna report runs/quickstart
    """
    from hdna.report.page import write_report

    typer.echo(write_report(url, out))
