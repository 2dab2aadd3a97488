"""`hdna report`: the page about a run, or the one that compares several."""

from typing import Annotated

import typer


def report(
    urls: Annotated[list[str], typer.Argument(metavar="RUN_URL", help="Directories or bucket URLs of runs.")],
    out: Annotated[str | None, typer.Option(help="Folder to write to, instead of the first RUN_URL/report.")] = None,
) -> None:
    """Write an HTML page about a run, or one that compares several.

    \b
    Example:
      hdna report runs/quickstart
      hdna report runs/adapted runs/scratch
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.report.comparison import write_comparison
    from hdna.report.page import write_report

    typer.echo(write_report(urls[0], out) if len(urls) == 1 else write_comparison(urls, out))
