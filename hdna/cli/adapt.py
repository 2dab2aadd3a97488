"""`hdna adapt`: continue pretraining on one's own genomes, from FASTA to report."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hdna.cli.run_display import RunDisplay
from hdna.progress import Progress


def adapt(
    genomes: Annotated[
        list[str],
        typer.Argument(metavar="FASTA|key=value", help="FASTA files, one for each assembly; overrides of the recipe."),
    ],
    source: Annotated[str, typer.Option("--from", help="Run, checkpoint or import whose weights to begin from.")],
    out: Annotated[str, typer.Option(help="URL of the new run; its data come beside it, to OUT-data.")],
    scratch: Annotated[
        bool, typer.Option("--scratch/--no-scratch", help="Train the same from new weights too, as OUT-scratch.")
    ] = True,
) -> None:
    """Continue pretraining on other genomes, from FASTA to report.

    The recipe follows from the source's and the genomes' size: its longest context, eight passes over the train split.
    The same command goes on with what was stopped.

    \b
    Example:
      hdna adapt celegans.fa --from runs/human --out runs/celegans
      hdna adapt rice.fa.gz maize.fa.gz --from s3://b/plants --out s3://b/grasses
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.adapt.flow import adapt as run
    from hdna.config import RunConfig
    from hdna_cluster.launch import launch
    from hdna_prep.pool import processes, processors

    overrides = [text for text in genomes if "=" in text and not Path(text).exists()]
    fastas = [text for text in genomes if text not in overrides]
    if not fastas:
        raise typer.BadParameter("give at least one FASTA file", param_hint="GENOME")

    def train(config: RunConfig) -> None:
        with Progress() as display:
            launch(config, RunDisplay(display), "adapt")

    place = str(storage.local_path(out)) if storage.is_local(out) else out.rstrip("/")
    with processes(processors()) as pool:
        made = run(fastas, source, place, overrides, scratch, pool, train, partial(typer.echo, err=True))
    typer.echo(f"{made.verdict}\n{made.page}")
