"""Which window an allele is read in: one for all alleles of a cell, that begins `context` bases before the cell.

A contig's strand is divided into cells of fixed places. A window's begin, and so what a model reads before an allele,
is then a function of the allele alone: not of its neighbours in the file, nor of how the work is divided. (A causal
model cannot see where a window ends.) A wide cell shares a reference pass among more alleles; a narrow one keeps the
context that they really have nearer to the one asked for.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hdna.downstream.variants.alleles import Allele
from hdna.errors import InputError
from hdna.genome.interval import Interval

CONTEXT = 32_768
"""By default, at most. An allele costs no more for it; the pass that the alleles of a cell share does, in proportion,
and on 3 Gb of sparse variants that pass is the work."""
HORIZON = 512
"""By default, at most: an allele's cost is in proportion to it."""


@dataclass(frozen=True)
class Geometry:
    """What is read around alleles, in bases."""

    context: int
    """Before each, at least, where the contig has as many."""
    horizon: int
    """From its first base on, compared."""
    cell: int
    l_max: int
    """The longest window of the model."""


@dataclass(frozen=True)
class Window:
    """A window along a strand, in that strand's coordinates, and the alleles that are compared in it."""

    contig: str
    start: int
    end: int
    horizon: int
    members: list[int]
    """The numbers of its alleles."""

    def interval(self, strand: str, length: int) -> Interval:
        """The place of a strand of a contig of `length` bases."""
        if strand == "+":
            return Interval(self.contig, self.start, self.end)
        return Interval(self.contig, length - self.end, length - self.start, "-")


def geometry(l_max: int, context: int | None, horizon: int | None) -> Geometry:
    """Fill in what is not given: the longest context that leaves a quarter of it for the cell, up to CONTEXT.

    Raises InputError when they do not fit the model.
    """
    horizon = horizon or min(HORIZON, max(1, l_max // 4))
    if horizon > l_max - 2:
        raise InputError(f"--horizon {horizon}: the model reads {l_max} bases: want at most {l_max - 2}")
    context = context or min(CONTEXT, max(1, (l_max - horizon) * 4 // 5))
    if context + horizon >= l_max:
        raise InputError(
            f"--context {context}: with --horizon {horizon} and the model's {l_max} bases, want at most "
            f"{l_max - horizon - 1}; three quarters of them, to share windows"
        )
    return Geometry(context, horizon, min(max(1, context // 4), l_max - context - horizon), l_max)


def windows(alleles: Sequence[Allele], length: int, geometry: Geometry) -> list[Window]:
    """The windows of one contig's alleles, all on one strand, in its coordinates; `length`: bases of the contig.

    An allele too near the contig's end for any horizon is in none, nor is one at the very begin.
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, allele in enumerate(alleles):
        cell = allele.start // geometry.cell
        start = _start(cell, geometry)
        room = min(length, start + geometry.l_max) - allele.start - allele.surplus
        horizon = _horizon(room, geometry.horizon)
        if allele.start > start and horizon >= allele.span:
            groups[cell, horizon].append(number)
    return [
        _window([alleles[number] for number in members], _start(cell, geometry), horizon, members)
        for (cell, horizon), members in sorted(groups.items())
    ]


def _start(cell: int, geometry: Geometry) -> int:
    return max(0, cell * geometry.cell - geometry.context)


def _window(alleles: Sequence[Allele], start: int, horizon: int, members: list[int]) -> Window:
    end = max(allele.start + allele.surplus for allele in alleles) + horizon
    return Window(alleles[0].contig, start, end, horizon, members)


def _horizon(room: int, wanted: int) -> int:
    """What fits, in few sizes, because alleles are compared together where they share one."""
    if room >= wanted:
        return wanted
    return 1 << (room.bit_length() - 1) if room > 0 else 0
