"""`hdna eval embed`: what a checkpoint makes of sequences, as Parquet or Zarr."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hdna.downstream.embed.summary import Summary
    from hdna.downstream.embed.work import Worker


class Pooling(StrEnum):
    """What is kept of a sequence."""

    mean = "mean"
    none = "none"


class Precision(StrEnum):
    """Of the numbers that are written."""

    float16 = "float16"
    float32 = "float32"


class Where(StrEnum):
    """Where the model runs."""

    process = "process"
    ray = "ray"


def embed(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, a checkpoint or an import: a path or URL.")],
    out: Annotated[str, typer.Option(help="What to make: a path or URL that ends in .parquet or .zarr.")],
    fasta: Annotated[
        str | None, typer.Option(help="A sequence for each record: FASTA, plain, gzip or bgzip, or a genome store.")
    ] = None,
    bed: Annotated[str | None, typer.Option(help="A sequence for each of these intervals of --fasta.")] = None,
    table: Annotated[
        str | None, typer.Option(help="CSV, TSV or Parquet with a column 'sequence'; the others are kept.")
    ] = None,
    pool: Annotated[
        Pooling, typer.Option(help="One embedding for a sequence, the mean over its bases; or one for each base.")
    ] = Pooling.mean,
    layer: Annotated[
        int | None,
        typer.Option(min=0, help="The residual stream after this block; 0: the embedding [default: the final norm]."),
    ] = None,
    dtype: Annotated[Precision, typer.Option(help="Of the embeddings; the model runs in fp32.")] = Precision.float32,
    backend: Annotated[
        Where, typer.Option(help="This process, or Ray: all GPUs or processors of the cluster, or of this machine.")
    ] = Where.process,
    workers: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Models that Ray runs [default: one per GPU, or processor].")
    ] = None,
    sequence_parallel: Annotated[
        int, typer.Option(min=1, help="Ray's workers that share each sequence, where one has too little memory.")
    ] = 1,
) -> None:
    """Write the hidden states of sequences as Parquet or Zarr.

    Pooled, or one for each base. The result is the same wherever it is computed, and appears when it is complete. The
    same command goes on with what was interrupted. As a submitted Ray job it runs on the cluster.

    \b
    Example:
      hdna eval embed runs/quickstart --fasta genes.fa --out genes.parquet
      hdna eval embed runs/human --bed peaks.bed --fasta hg38.fa --out peaks.zarr
      hdna eval embed runs/human --table peaks.csv --pool none --out peaks.parquet
    """  # noqa: D301  (\b keeps the example on its own line)
    if (table is None) == (fasta is None) or (bed is not None and fasta is None):
        raise typer.BadParameter("give --fasta, --bed with --fasta, or --table", param_hint="sequences")
    from hdna.downstream.embed.embedder import Wanted
    from hdna.downstream.embed.flow import embed as make
    from hdna.downstream.embed.sequences import Origin
    from hdna_cluster.session import absolute_url

    absolute_url(out)  # in a submitted job a relative path is refused
    elsewhere = _elsewhere(backend, workers, sequence_parallel)
    wanted = Wanted(layer, pool.value, dtype.value)
    typer.echo(_text(make(run, Origin(fasta, bed, table), out, wanted, elsewhere, _say)))


def _elsewhere(backend: Where, workers: int | None, sequence_parallel: int) -> "Worker | None":
    """Who does the work if not this process."""
    from hdna_cluster.session import is_submitted_job

    if sequence_parallel > 1:
        from hdna.downstream.embed.on_ranks import on_ranks

        return on_ranks(sequence_parallel, _say)
    if backend is Where.ray or is_submitted_job():
        from hdna.downstream.embed.on_ray import on_ray

        return on_ray(workers)
    return None


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _text(made: "Summary") -> str:
    """What was made, how fast, and what a genome would take."""
    lines = [f"{made.url}: {made.sequences:,} sequences, {made.bases:,} bases, {_size(made.embedding_bytes)}"]
    if made.reused_bases:
        lines.append(f"{made.reused_bases:,} bases from an interrupted command")
    if made.megabases_per_second and made.hours_for_genome:
        lines.append(
            f"{made.megabases_per_second:.3g} Mb/s: a genome of 3 Gb, in sequences like these, would take "
            f"{made.hours_for_genome:,.3g} hours and {_size(made.bytes_for_genome)}"
        )
    return "\n".join(lines)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
