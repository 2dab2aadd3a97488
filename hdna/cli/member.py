"""`hdna prep member`: which part of a genome was trained on."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hdna.cli.columns import right_aligned

if TYPE_CHECKING:
    from hdna.genome.shard_set import ShardSet
    from hdna_prep.member import Membership, Origin, Share

_MAX_ROWS = 30
"""Contigs that are shown; assemblies may have 100,000."""


def member(
    fasta: Annotated[str, typer.Argument(metavar="FASTA", help="A genome: plain, gzip or bgzip.")],
    within: Annotated[str, typer.Option("--in", metavar="RUN|SHARDS", help="A run, or a shard set: a path or URL.")],
) -> None:
    """Say which part of a genome was trained on.

    That is in the train split of a run or a shard set, on either strand.

    \b
    Example:
      hdna prep member genome.fa.gz --in runs/quickstart
    """  # noqa: D301  (\b keeps the example on its own line)
    from hdna_prep.member import membership

    started = time.monotonic()
    sets, begun_from = _sets(within)
    found = membership(fasta, sets)
    typer.echo(_text(found, within, len(sets) > 1))
    if begun_from is not None:
        typer.echo(f"\nThe run began from {begun_from}: what that was trained on before is not in this answer.")
    typer.echo(f"{time.monotonic() - started:.1f} s")


def _sets(url: str) -> "tuple[list[ShardSet], str | None]":
    """The shard sets of a run and what it began from, or the set at `url`. Raises InputError when it is neither."""
    from hdna import storage
    from hdna.config.recipe import parse_recipe
    from hdna.errors import InputError
    from hdna.genome.shard_set import load_shard_set
    from hdna.run.files import RECIPE
    from hdna.storage.manifest import MANIFEST

    recipe_url = storage.join(url, RECIPE)
    if storage.exists(storage.join(url, MANIFEST)):
        return [load_shard_set(url)], None
    if not storage.exists(recipe_url):
        raise InputError(f"{url}: neither a shard set nor a run: it has neither {MANIFEST} nor {RECIPE}: give one")
    config = parse_recipe(storage.read(recipe_url).decode(errors="replace"), recipe_url)
    return [load_shard_set(shards) for shards in config.data.shards], config.run.init_from


def _text(found: "Membership", within: str, several: bool) -> str:
    """The share of the genome, then its contigs."""
    from hdna_prep.kmers import K
    from hdna_prep.member import BANDS

    whole = found.whole
    head = (
        f"{whole.name}: {whole.bases:,} bases in {len(found.contigs):,} contigs, {whole.known:,} of them A, C, G or T\n"
        f"{within}: {found.train_bases:,} bases in the train split"
    )
    rows = [["identity", "bases", "share"]]
    for band, bases in zip(BANDS, whole.found, strict=True):
        rows.append([f">= {band:.0%}", f"{bases:,}", f"{_share(bases, whole.known):.2%}"])
    unfound = whole.compared - whole.found[-1]
    rows.append(["not found", f"{unfound:,}", f"{_share(unfound, whole.known):.2%}"])
    skipped = whole.known - whole.compared
    rows.append(["not compared", f"{skipped:,}", f"{_share(skipped, whole.known):.2%}"])
    note = (
        f"Identity of pieces of about 1,000 bases to one assembly's train split, on either strand, estimated from\n"
        f"{K}-mers. Relatives below 90 % are not found. Not compared: pieces of few known or few different {K}-mers."
    )
    return "\n\n".join([head, f"{right_aligned(rows)}\n{note}", _contigs(found, several)])


def _contigs(found: "Membership", several: bool) -> str:
    """A row for each contig; of many, those with most bases found."""
    from hdna_prep.member import BANDS

    shown = found.contigs
    if len(shown) > _MAX_ROWS:
        shown = sorted(shown, key=lambda contig: contig.found[-1], reverse=True)[:_MAX_ROWS]
    rows = [["contig", "bases", *(f">= {band:.0%}" for band in BANDS), "nearest"]]
    for contig in shown:
        shares = [f"{_share(bases, contig.known):.2%}" for bases in contig.found]
        rows.append([contig.name, f"{contig.bases:,}", *shares, _nearest(contig, several)])
    table = right_aligned(rows)
    left = len(found.contigs) - len(shown)
    return f"{table}\nand {left:,} more contigs, of which less is found" if left else table


def _nearest(contig: "Share", several: bool) -> str:
    """The assembly that most of a contig is nearest to, and the contig of it that is the same."""
    if contig.same_as is not None:
        return f"same letters as {contig.same_as}"
    return "-" if contig.nearest is None else _name(contig.nearest, several)


def _name(origin: "Origin", several: bool) -> str:
    accession = f" ({origin.accession})" if origin.accession else ""
    return f"{origin.assembly}{accession}" + (f" in {origin.shards}" if several else "")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
