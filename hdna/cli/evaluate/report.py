"""`hdna eval report`: the benefit report of a checkpoint."""

from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, a checkpoint or an import: a path or URL.")],
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder of the evidence, searched below too, and of the report.")
    ],
    require: Annotated[
        bool, typer.Option("--require", help="Fail, and write nothing, if evidence is missing.")
    ] = False,
    price: Annotated[
        float | None,
        typer.Option(help="Of a device like the run's for an hour, in any currency: shows what work costs."),
    ] = None,
) -> None:
    """Gather a folder's evidence into one page and one JSON file.

    The other commands of 'hdna eval' have left it in DIR. Six benefits: predictive performance, less labelled data,
    simpler deployment, emergent uses, multimodality, human interface. Evidence about other weights does not count; what
    is missing is said, with the command that makes it.

    \b
    Example:
      hdna eval report runs/quickstart --out judged
      hdna eval report runs/quickstart --out judged --require --price 2.50
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.downstream.benefits.report import JSON, write_benefits
    from hdna.errors import InputError
    from hdna.report.page import PAGE

    if price is not None and not 0 <= price < float("inf"):
        raise InputError(f"--price: {price:g}: want what one device costs for an hour, as in --price 2.50")
    written = write_benefits(run, out, require, price)
    for sentence in written.verdict:
        typer.echo(sentence)
    other = f", {len(written.other_weights)} about other weights left out" if written.other_weights else ""
    typer.echo(f"{len(written.evidence)} file(s) of evidence{other}; {len(written.missing)} piece(s) missing")
    typer.echo(f"{storage.join(out, PAGE)}, {storage.join(out, JSON)}")
