"""`hdna eval context`: bits per base against context length."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdna.cli.columns import right_aligned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hdna.downstream.context import ContextQuestion, ContextScores


class Split(StrEnum):
    """Parts of a shard set that are held out."""

    test = "test"
    valid = "valid"


def context(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, a checkpoint or an import: a path or URL.")],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for context.json and context.svg.")],
    shards: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A shard set, instead of the run's own; may be repeated.")
    ] = None,
    split: Annotated[
        Split | None, typer.Option(help="By default test, or valid where a set has no test split.")
    ] = None,
    longest: Annotated[int | None, typer.Option(help="Longest context; by default the model's l_max.", min=16)] = None,
    max_bases: Annotated[int, typer.Option(help="Bases scored, the same at every context.", min=1)] = 200_000,
    sequence_parallel: Annotated[
        int, typer.Option(help="Workers on Ray that share each sample, for contexts beyond one's memory.", min=1)
    ] = 1,
) -> None:
    """Does longer context help? Bits per base by context length.

    The same held-out bases are scored at context lengths from 1,024 to l_max. Repeats (soft-masked) and unique sequence
    are scored apart. DIR/context.json has the figures with 95 % intervals, DIR/context.svg the curves.

    \b
    Example:
      hdna eval context runs/quickstart --out judged
      hdna eval context runs/hg38 --sequence-parallel 8 --out judged
      hdna eval context runs/hg38 --shards s3://bucket/mouse --out judged/mouse
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.downstream.context import ContextQuestion, score_contexts
    from hdna.downstream.context_result import context_body, context_plot
    from hdna.downstream.evidence import write_evidence
    from hdna.downstream.subject import load_subject
    from hdna.parallel import Mesh

    subject = load_subject(run)
    plot = storage.join(out, "context.svg")
    storage.require_writable(out)
    question = ContextQuestion(tuple(shards or ()), split and split.value, longest, max_bases)
    if sequence_parallel > 1:
        scores = _on_ranks(subject.url, question, sequence_parallel)
    else:
        scores = score_contexts(subject, question, Mesh(0, 1))
    body = context_body(scores)
    storage.write(plot, context_plot(body["contexts"]).encode())
    written = write_evidence(out, "context", subject, scores.cost, body)
    typer.echo(f"{subject.url}, step {subject.step:,}: {body['target_bases']:,} bases of the {body['split']} split\n")
    typer.echo(_table(body["contexts"]))
    for one in body["sets"] if len(body["sets"]) > 1 else ():
        typer.echo(f"\n{one['name']}\n{_table(one['contexts'])}")
    typer.echo(f"\n{body['verdict']}\n{scores.cost.seconds:.1f} s; {written}, {plot}")


def _on_ranks(checkpoint: str, question: "ContextQuestion", ranks: int) -> "ContextScores":
    """The scores found by workers on Ray, on this machine or on the cluster of a submitted job."""
    from dataclasses import replace

    from hdna.downstream.context import score_contexts_on_ranks
    from hdna_cluster.on_ranks import run_on_ranks
    from hdna_cluster.session import absolute_url

    question = replace(question, shards=tuple(map(absolute_url, question.shards)))
    arguments = absolute_url(checkpoint), question
    return run_on_ranks(score_contexts_on_ranks, arguments, checkpoint, ranks, lambda line: typer.echo(line, err=True))


def _table(rows: "Sequence[dict[str, Any]]") -> str:
    """A row for each context."""
    lines = [["context", "bits per base", "95 % interval", "repeats", "unique"]]
    for row in rows:
        keys = ("bits_per_base", "repeat_bits_per_base", "unique_bits_per_base", "low", "high")
        bits, repeat, unique, low, high = ("-" if row[key] is None else f"{row[key]:.4f}" for key in keys)
        lines.append([f"{row['context_length']:,}", bits, f"{low} to {high}", repeat, unique])
    return right_aligned(lines)
