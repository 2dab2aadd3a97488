"""Log-likelihood ratios of alleles, on both strands."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from hdna.downstream.metrics import Floats
from hdna.downstream.variants.alleles import AT_END, Allele
from hdna.downstream.variants.edits import Edit, Tokens, compared
from hdna.downstream.variants.windows import Geometry, Window, windows
from hdna.genome.alphabet import A, T
from hdna.genome.interval import Interval
from hdna.model import HyenaDNA

Engine = Callable[[HyenaDNA, Tokens, Sequence[Edit], int], tuple[Floats, Floats]]
"""From a window and its edits to nats (E,) of the reference and of the alternative over the horizon."""
Reader = Callable[[Interval], Tokens]


@dataclass(frozen=True)
class Score:
    """Of one allele."""

    forward: float
    """Nats of the alternative minus those of the reference, along the forward strand."""
    reverse: float
    context: int
    """Bases read before it, the lesser of both strands'."""
    horizon: int
    """Positions compared, the lesser of both strands'."""

    @property
    def ratio(self) -> float:
        """The mean of both strands."""
        return (self.forward + self.reverse) / 2


@dataclass
class Scorer:
    """Scores alleles of one genome; counts the bases that the model read for it."""

    model: HyenaDNA
    engine: Engine
    read: Reader
    lengths: dict[str, int]
    """Bases of each contig."""
    geometry: Geometry
    bases: int = 0

    def scores(self, alleles: Sequence[Allele]) -> list[Score | str]:
        """Each allele's score, or the reason why it has none."""
        by_contig: dict[str, list[int]] = defaultdict(list)
        for number, allele in enumerate(alleles):
            by_contig[allele.contig].append(number)
        found: list[Score | str] = [AT_END] * len(alleles)
        for numbers in by_contig.values():
            group = [alleles[number] for number in numbers]
            forward, reverse = (self._along(strand, group) for strand in "+-")
            for place, number in enumerate(numbers):
                if place in forward and place in reverse:
                    one, other = forward[place], reverse[place]
                    found[number] = Score(one[0], other[0], min(one[1], other[1]), min(one[2], other[2]))
        return found

    def _along(self, strand: str, group: Sequence[Allele]) -> dict[int, tuple[float, int, int]]:
        """Ratio, context and horizon along a strand of alleles of one contig, by number; some have none."""
        length = self.lengths[group[0].contig]
        alleles = [allele.on_strand(strand, length) for allele in group]
        found: dict[int, tuple[float, int, int]] = {}
        for window in windows(alleles, length, self.geometry):
            tokens = self.read(window.interval(strand, length))
            edits = [Edit(a.start - window.start, a.removed, a.inserted) for a in (alleles[n] for n in window.members)]
            reference, alternative = self.engine(self.model, tokens, edits, window.horizon)
            self.bases += len(tokens)
            counted = _counted(tokens, edits, window)
            for place, number in enumerate(window.members):
                if counted[place]:
                    ratio = float(alternative[place] - reference[place])
                    found[number] = (ratio, edits[place].start, counted[place])
        return found


def _counted(tokens: Tokens, edits: Sequence[Edit], window: Window) -> list[int]:
    """Positions of each edit's horizon that count: where neither allele has an N or another code."""
    if ((tokens >= A) & (tokens <= T)).all():
        return [window.horizon] * len(edits)
    counts = compared(tokens, edits, window.horizon, torch.device("cpu")).counted_EA.sum(1)
    counted: list[int] = counts.tolist()
    return counted
