"""`hdna eval needle`: what the model copies from far back."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdna.cli.columns import right_aligned

if TYPE_CHECKING:
    from collections.abc import Sequence


def needle(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, a checkpoint or an import: a path or URL.")],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder for needle.json and needle.svg.")],
    shards: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A shard set, instead of the run's own; may be repeated.")
    ] = None,
    unit: Annotated[int, typer.Option(help="Random bases that are repeated.", min=4)] = 64,
    copies: Annotated[int, typer.Option(help="Pairs at each distance.", min=2)] = 64,
) -> None:
    """Can the model use what it read far back?

    A unit is repeated at distances up to l_max, and its second copy is scored. Between the copies lies held-out
    sequence. In the control the first copy's bases are shuffled. DIR/needle.json has the gain at each distance with its
    95 % interval, DIR/needle.svg the curve.

    \b
    Example:
      hdna eval needle runs/quickstart --out judged
      hdna eval needle imported --shards work/shards --unit 128 --out judged
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna import storage
    from hdna.downstream.evidence import write_evidence
    from hdna.downstream.held_out import open_held_out
    from hdna.downstream.needle import find_needles
    from hdna.downstream.needle_result import needle_body, needle_plot
    from hdna.downstream.subject import load_subject

    subject = load_subject(run)
    plot = storage.join(out, "needle.svg")
    storage.require_writable(out)
    held_out = open_held_out(subject.config, shards or ())
    needles, cost = find_needles(subject, held_out, unit, copies)
    body = needle_body(needles, unit, held_out.split)
    storage.write(plot, needle_plot(body["distances"]).encode())
    written = write_evidence(out, "needle", subject, cost, body)
    typer.echo(f"{subject.url}, step {subject.step:,}: {copies:,} copies of {unit:,} bases at each distance\n")
    typer.echo(_table(body["distances"]))
    typer.echo(f"\n{body['verdict']}\n{cost.seconds:.1f} s; {written}, {plot}")


def _table(rows: "Sequence[dict[str, Any]]") -> str:
    """A row for each distance."""
    lines = [["distance", "bits per base", "control", "gain", "95 % interval", "second half"]]
    for row in rows:
        keys = ("bits_per_base", "control_bits_per_base", "gain", "low", "high", "second_half_gain")
        bits, control, gain, low, high, second = ("-" if row[key] is None else f"{row[key]:.4f}" for key in keys)
        lines.append([f"{row['distance']:,}", bits, control, gain, f"{low} to {high}", second])
    return right_aligned(lines)
