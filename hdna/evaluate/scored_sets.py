"""What of a split is scored: a share of every assembly, so that none of several genomes is left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hdna.genome.set_windows import IntArray
from hdna.genome.shard import ShardEntry
from hdna.genome.shard_set import ShardSet


@dataclass(frozen=True)
class ScoredSet:
    """The windows of one assembly in one shard set."""

    name: str
    """The assembly, and the shard set's number where another one has it too."""
    windows: IntArray
    """Their numbers in the split's reader, ascending."""
    bases: int
    """To be scored, at most, from the first window on."""


def scored_sets(
    shard_sets: Sequence[ShardSet], split: str, max_bases: float, weights: Sequence[float] = ()
) -> list[ScoredSet]:
    """The assemblies of a split, between which `max_bases` are shared out.

    Shard sets have shares by `weights`, or else by their bases; the assemblies of one have theirs by their bases.
    """
    parts, first = list[_Part](), 0
    for number, shard_set in enumerate(shard_sets):
        shards = [shard for shard in shard_set.shards if shard.split == split]
        parts += _parts(number, shard_set, shards, first)
        first += sum(len(shard.samples) for shard in shards)
    often = Counter(part.assembly for part in parts)
    return [
        ScoredSet(
            part.assembly if often[part.assembly] == 1 else f"{part.assembly} (set {part.shard_set})",
            part.windows,
            round(max_bases * share),
        )
        for part, share in zip(parts, _shares(parts, weights), strict=True)
    ]


class _Part(NamedTuple):
    """The windows of an assembly in a shard set's split."""

    shard_set: int
    assembly: str
    windows: IntArray
    bases: int


def _parts(number: int, shard_set: ShardSet, shards: Sequence[ShardEntry], first: int) -> list[_Part]:
    """The assemblies of shards whose windows are numbered from `first` on."""
    if len(shard_set.provenance.stores) == 1:  # the rule, and no sample of a large set has to be read
        count = sum(len(shard.samples) for shard in shards)
        assembly, total = shard_set.provenance.stores[0].assembly, sum(shard.bases for shard in shards)
        return [_Part(number, assembly, first + np.arange(count), total)] if count else []
    samples = [sample for shard in shards for sample in shard.samples]
    assemblies = np.array([sample.assembly for sample in samples])
    bases = np.array([sample.end - sample.start for sample in samples], np.int64)
    return [
        _Part(number, name, first + np.flatnonzero(assemblies == name), int(bases[assemblies == name].sum()))
        for name in dict.fromkeys(store.assembly for store in shard_set.provenance.stores)
        if name in assemblies
    ]


def _shares(parts: Sequence[_Part], weights: Sequence[float]) -> list[float]:
    """Of the sum, which is 1."""
    of_set = Counter[int]()
    for part in parts:
        of_set[part.shard_set] += part.bases
    weight = {number: weights[number] if weights else float(bases) for number, bases in of_set.items()}
    total = sum(weight.values())
    return [weight[part.shard_set] / total * part.bases / of_set[part.shard_set] for part in parts]
