"""Sequences of labelled intervals, cut from their genome; what is wrong with those that it does not have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hdna.downstream.contig_names import ContigNames
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.store import GenomeStore

Place = tuple[Any, ...]
"""Contig, start, end (0-based, half-open) and strand, as a file has them."""


@dataclass(frozen=True)
class Cut:
    """What a genome has at several places."""

    sequences: list[str | None]
    """None where there is none."""
    faults: dict[int, str] = field(default_factory=dict)
    """Why, by row."""
    note: str | None = None
    """Contigs that the genome names in another way."""


def cut_places(genome: GenomeStore, places: Sequence[Place]) -> Cut:
    """The sequence at each place, reverse-complemented where the strand is a minus."""
    names, sequences, faults = ContigNames(genome.assembly, genome.contigs), list[str | None](), dict[int, str]()
    for row, place in enumerate(places):
        try:
            tokens = genome.read(_interval(genome, names, place))
            sequences.append(alphabet.decode(tokens).decode())
        except _NoSuchPlaceError as error:
            sequences.append(None)
            faults[row] = str(error)
    return Cut(sequences, faults, names.note)


class _NoSuchPlaceError(Exception):
    """What is wrong with a place."""


def _interval(genome: GenomeStore, names: ContigNames, place: Place) -> Interval:
    contig, start, end, strand = place
    try:
        first, last = int(start), int(end)
    except (TypeError, ValueError):
        raise _NoSuchPlaceError(f"start {start!r} and end {end!r} are not whole numbers") from None
    if not 0 <= first < last:
        raise _NoSuchPlaceError(f"{first}-{last} is not an interval: want 0 <= start < end")
    try:
        named = names.find(str(contig), "interval")
    except InputError as error:
        raise _NoSuchPlaceError(str(error)) from None
    if last > genome.contigs[named]:
        raise _NoSuchPlaceError(f"end {last:,} is past the end of {named}, which has {genome.contigs[named]:,} bases")
    return Interval(named, first, last, "-" if strand == "-" else "+")
