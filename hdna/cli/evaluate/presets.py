"""`hdna eval presets`: the public labelled sets that `hdna eval task` knows by name."""

from typing import Annotated

import typer

from hdna.cli.columns import right_aligned


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show only this one, with its files and source.")
    ] = None,
) -> None:
    """List the public labelled sets that 'hdna eval task' knows.

    \b
    Example:
      hdna eval presets
      hdna eval presets gb:human_nontata_promoters
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna.downstream.tasks.presets import PRESETS, find_preset

    if name is not None:
        preset = find_preset(name)
        typer.echo(f"{preset.name}: {preset.kind}, {preset.classes} classes or labels, {preset.length:,} bases")
        typer.echo(f"judged by: {preset.metric}\nfiles: {preset.files}\nsource: {preset.source}")
        return
    rows = [["name", "kind", "classes", "bases", "metric"]]
    rows += [[own.name, own.kind, str(own.classes), f"{own.length:,}", own.metric] for own in PRESETS]
    sources = dict.fromkeys((own.name.partition(":")[0], own.source) for own in PRESETS)
    typer.echo(right_aligned(rows))
    typer.echo("\n" + "\n".join(f"{family}: {source}" for family, source in sources))
