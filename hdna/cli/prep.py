"""`hdna prep`: FASTA to genome store to shard set. Heavy imports stay inside the handlers."""

import time
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from hdna.cli.member import member

if TYPE_CHECKING:
    from hdna_prep.pool import Pool

app = typer.Typer(
    name="prep",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Prepare data: FASTA to genome store to shard set.",
)


class SplitRule(StrEnum):
    """How held-out stretches are chosen without a BED file."""

    hash = "hash"
    contig = "contig"
    similarity = "similarity"


class Backend(StrEnum):
    """Where workers run."""

    processes = "processes"
    ray = "ray"


Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="Parallel workers; the result is the same [default: available processors, ≤ 8]."
    ),
]
FastaOut: TypeAlias = Annotated[str, typer.Option("--out", help="FASTA to write; gzipped if its name ends in .gz.")]


@app.callback()
def _prep() -> None:
    """Prepare data: FASTA to genome store to shard set."""


@app.command()
def synth(
    out: FastaOut,
    bases: Annotated[int, typer.Option(help="Total bases, N runs included.")],
    contigs: Annotated[int, typer.Option(help="Contigs of equal length, named chr1, chr2, …")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Write a synthetic genome with short- and long-range structure.

    \b
    Example:
      hdna prep synth --out synthetic.fa.gz --bases 4000000 --contigs 4
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna_prep.synthetic import write_genome

    started = time.monotonic()
    path = storage.local_path(out)
    write_genome(path, bases, contigs, seed)
    _close(f"{out}: {bases:,} bases in {contigs} contigs, {_size(path.stat().st_size)}", started)


@app.command()
def genome(
    fastas: Annotated[list[str], typer.Argument(metavar="FASTA", help="FASTA files: plain, gzip or bgzip.")],
    out: Annotated[str, typer.Option(help="Genome store to make: a path or URL, usually ending in .zarr.")],
    assembly: Annotated[str | None, typer.Option(help="Assembly name; by default the first file's.")] = None,
    accession: Annotated[str | None, typer.Option(help="The assembly's accession in the archives.")] = None,
    workers: Workers = None,
    backend: Annotated[Backend, typer.Option(help="Processes on this machine, or tasks on a Ray cluster.")] = (
        Backend.processes
    ),
) -> None:
    """Make a genome store from one assembly's FASTA files. After an interruption, the same command resumes.

    \b
    Example:
      hdna prep genome hg38.fa.gz --out hg38.zarr --accession GCF_000001405.40
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna_prep.encode import encode_genome

    started = time.monotonic()
    with _pool(backend, workers) as pool:
        made = encode_genome(fastas, out, assembly, pool, accession)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in made.counts.items())
    size = f"{_size(made.array_bytes)}, {made.stored_bits:.3f} stored bits a base"
    name = f"{made.assembly} ({accession})" if accession else made.assembly
    text = f"{out}: {name}, {made.contigs:,} contigs, {made.bases:,} bases ({kinds}), {size}"
    if made.reused_bases:
        text += f"; {made.reused_bases:,} bases reused from an interrupted run"
    _close(text, started)


@app.command()
def fasta(
    store: Annotated[str, typer.Argument(metavar="STORE.zarr", help="Genome store.")],
    out: FastaOut,
) -> None:
    """Write a genome store back to FASTA, unchanged.

    Every name, base, ambiguity code and letter case is preserved.

    \b
    Example:
      hdna prep fasta hg38.zarr --out hg38.fa.gz
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna_prep.encode import write_fasta

    started = time.monotonic()
    read = write_fasta(store, out)
    size = _size(storage.local_path(out).stat().st_size)
    _close(f"{out}: {len(read.contigs):,} contigs, {read.bases:,} bases, {size}", started)


@app.command()
def shards(
    stores: Annotated[list[str], typer.Argument(metavar="STORE.zarr", help="Genome stores, one per assembly.")],
    out: Annotated[str, typer.Option(help="Shard set to make: a path or URL.")],
    splits: Annotated[str | None, typer.Option(help="BED file: contig, start, end, train|valid|test.")] = None,
    split_by: Annotated[SplitRule | None, typer.Option(help="Split rule without a BED file [default: hash].")] = None,
    window: Annotated[int, typer.Option(min=1, help="Bases per window; training cuts windows into crops.")] = 1 << 20,
    workers: Workers = None,
) -> None:
    """Make a shard set from genome stores.

    Splits are applied before windows are cut.

    \b
    Example:
      hdna prep shards hg38.zarr --out s3://bucket/shards --splits splits.bed
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna_prep.shards import write_shards

    if splits is not None and split_by is not None:
        raise typer.BadParameter("give either --splits or --split-by, not both")
    started = time.monotonic()
    rule = (split_by or SplitRule.hash).value
    with _pool(Backend.processes, workers) as pool:
        made = write_shards(stores, out, splits, rule, window, pool)
    parts = ", ".join(f"{split} {entry.bases:,} bases in {entry.windows:,}" for split, entry in made.totals.items())
    size = sum(shard.bytes for shard in made.shards)
    bases = sum(shard.bases for shard in made.shards)
    dropped = made.provenance.dropped.windows
    text = f"{out}: {len(made.shards)} shards, {_size(size)}, {8 * size / bases:.2f} stored bits a base"
    _close(f"{text}; windows: {parts}; dropped {dropped:,}", started)


@app.command()
def verify(
    url: Annotated[str, typer.Argument(metavar="URL", help="Shard set or genome store.")],
    store: Annotated[
        list[str] | None, typer.Option(help="A genome store the set must come from, unchanged since; repeatable.")
    ] = None,
) -> None:
    """Check checksums, counts, and that splits are disjoint.

    A line for each problem; exit status 1 if there is any. Identical windows in two splits are only a warning, on
    stderr: genomes contain repeats.

    \b
    Example:
      hdna prep verify s3://bucket/hg38-shards
      hdna prep verify s3://bucket/hg38-shards --store hg38.zarr
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna_prep.verify import verify as problems_of

    started = time.monotonic()
    problems = problems_of(url, lambda text: typer.echo(f"warning: {text}", err=True), store or [])
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    _close(f"{url}: sound", started)


app.command()(member)


def _pool(backend: Backend, workers: int | None) -> AbstractContextManager["Pool"]:
    """The worker pool that the options ask for."""
    from hdna_prep.pool import processes, processors

    if backend == Backend.processes:
        return processes(workers or processors())
    from hdna_cluster.pool import ray_pool

    return ray_pool(workers)


def _size(count: int) -> str:
    """A human-readable size."""
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"


def _close(text: str, started: float) -> None:
    """Print the closing line: what was made, its size, the time taken."""
    typer.echo(f"{text}, {time.monotonic() - started:.1f} s")
