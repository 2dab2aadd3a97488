"""`hdna eval variants`: how much less likely each allele makes the sequence after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdna.cli.columns import right_aligned
from hdna.cli.prep import Backend

if TYPE_CHECKING:
    from hdna.downstream.variants.scoring import Controls, Outcome
    from hdna_prep.pool import Pool


def variants(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or a checkpoint: a path or URL.")],
    fasta: Annotated[str, typer.Option(help="The genome that positions refer to: FASTA, or a genome store.")],
    out: Annotated[str, typer.Option(metavar="O.vcf.gz", help="The VCF to write, by bgzip.")],
    vcf: Annotated[str | None, typer.Option(help="Variants to score: plain, gzip or bgzip.")] = None,
    saturate: Annotated[
        str | None, typer.Option(metavar="BED", help="Instead of a VCF: every substitution of these regions.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Bases read before each variant, at least [default: ≤ 32768, as fits].")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="Positions compared from the variant on [default: ≤ 512, as fits].")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="By a whole pass for each allele: the slow truth.")] = False,
    labels: Annotated[
        str | None, typer.Option(metavar="KEY", help="INFO entry with labels: 1 and 0, or as ClinVar's CLNSIG.")
    ] = None,
    controls: Annotated[bool, typer.Option("--controls", help="Zero-shot controls too; needs --gtf.")] = False,
    gtf: Annotated[str | None, typer.Option(help="Genes, for the controls.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Parallel workers, each with the model [default: 1; Ray: all].")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="Processes on this machine, or tasks on a Ray cluster.")] = (
        Backend.processes
    ),
) -> None:
    """Score every allele of a VCF: HDNA_LLR in INFO.

    It is alternative minus reference in nats, averaged over both strands. Reference and alternative are compared over
    the same number of positions. What cannot be scored passes through with the reason in HDNA_REFUSED. After an
    interruption, the same command resumes. Leaves variants.json beside the output.

    \b
    Example:
      hdna eval variants runs/human --vcf in.vcf --fasta hg38.fa --out out.vcf.gz
      hdna eval variants runs/human --saturate a.bed --fasta g.fa --out out.vcf.gz
    """  # noqa: D301  (\b keeps the example on its own line)
    if (vcf is None) == (saturate is None):
        raise typer.BadParameter("give either --vcf or --saturate")
    if controls != (gtf is not None):
        raise typer.BadParameter("--controls needs --gtf, and is what --gtf is for")
    if labels is not None and vcf is None:
        raise typer.BadParameter("--labels is for --vcf")
    from hdna.downstream.variants.scoring import Request, score_variants

    request = Request(run, fasta, out, vcf, saturate, context, horizon, full, labels)
    with _pool(backend, workers) as (pool, threads):
        outcome = score_variants(request, pool, threads, _controls(gtf, pool) if gtf else None)
    typer.echo(_text(out, outcome))


@contextmanager
def _pool(backend: Backend, workers: int | None) -> "Iterator[tuple[Pool, int | None]]":
    """The workers that the options ask for, and threads for each; None where they are seen to."""
    if backend == Backend.ray:
        from hdna_cluster.pool import ray_pool

        with ray_pool(workers, gpus=True) as pool:
            yield pool, None
        return
    import torch

    from hdna_prep.pool import processes

    count = workers or 1
    with processes(count) as pool:
        yield pool, None if count == 1 else max(1, torch.get_num_threads() // count)


def _controls(gtf: str, pool: "Pool") -> "Controls":
    from hdna.downstream.variants.controls import coding_controls

    return lambda job, genome: coding_controls(gtf, job, genome, pool)


def _text(out: str, outcome: "Outcome") -> str:
    """What was scored, what was not and why, and how well labels are told."""
    job, tally, body = outcome.job, outcome.tally, outcome.body
    per_thousand = body["seconds_per_thousand_alleles"]
    pace = f", {per_thousand:,.1f} s per thousand" if per_thousand is not None else ""
    lines = [
        f"{out}: {tally.scored:,} alleles of {tally.records:,} records scored, by {job.method}{pace}",
        f"context {job.geometry.context:,} bases or more, horizon {job.geometry.horizon:,}, both strands averaged",
    ]
    if tally.renamed:
        (theirs, ours), *others = tally.renamed.items()
        lines.append(
            f"contigs renamed: {theirs} is {ours} in the genome" + (f", and {len(others)} more" * bool(others))
        )
    if tally.refused:
        rows = [[reason, f"{count:,}"] for reason, count in sorted(tally.refused.items())]
        lines += ["", right_aligned([["not scored", "alleles"], *rows])]
    if "labelled" in body:
        lines += ["", _labelled(body["labelled"])]
    if "controls" in body:
        lines += ["", _controlled(body["controls"])]
    return "\n".join([*lines, f"evidence: {outcome.evidence}"])


def _labelled(found: dict[str, Any]) -> str:
    rows = [["labelled", "1", "0", "AUROC", "AUPRC"]]
    for name, one in (("all", found), *found["by_class"].items()):
        counts = [f"{one['positives']:,}", f"{one['negatives']:,}"]
        rows.append([name, *counts, _estimate(one["auroc"]), _estimate(one["auprc"])])
    left = f"; {found['unlabelled']:,} scored alleles have no label" if found["unlabelled"] else ""
    return f"{right_aligned(rows)}\n95 % intervals by chromosome, {found['chromosomes']} of them{left}"


def _estimate(est: dict[str, float | None]) -> str:
    if est["value"] is None:
        return "-"
    return f"{est['value']:.3f}" + ("" if est["low"] is None else f" ({est['low']:.3f} to {est['high']:.3f})")


def _controlled(found: dict[str, Any]) -> str:
    coding, agreement = found["synonymous"], found["reverse_complement"]
    rows = [
        ["control", "wanted", "found"],
        ["non-synonymous against synonymous, AUROC", "> 0.5", _estimate(coding["auroc"])],
        ["the same in shuffled windows, AUROC", "0.5", _estimate(found["shuffled"]["auroc"])],
        ["both strands, Pearson", "1", _estimate(agreement["pearson"])],
        ["both strands, Spearman", "1", _estimate(agreement["spearman"])],
    ]
    counts = f"{coding['non_synonymous']:,} and {coding['synonymous']:,} substitutions of {coding['genes']:,} genes"
    return f"{right_aligned(rows)}\n{counts}, matched by trinucleotide and alternative; 95 % intervals by gene"
