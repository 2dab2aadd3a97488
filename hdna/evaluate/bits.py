"""Bits per base of a split: mean nats of A, C, G and T targets over ln 2, so that a uniform guess scores 2.

Shapes: S scored sets; the 2 of a pair are unique sequence and repeats.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hdna.data.order import Crop, Crops
from hdna.data.stream import WindowReader
from hdna.evaluate.scored_sets import ScoredSet
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh, slice_batch


@dataclass(frozen=True)
class Score:
    """Nats summed over the scored bases; N and other codes are neither scored nor counted."""

    nats: float
    bases: int

    def __add__(self, other: "Score") -> "Score":
        """The score of the bases of both."""
        return Score(self.nats + other.nats, self.bases + other.bases)

    @property
    def loss(self) -> float:
        """Mean nats per base."""
        return self.nats / self.bases if self.bases else math.nan

    @property
    def bits_per_base(self) -> float:
        """Mean bits per base."""
        return self.loss / math.log(2)


@dataclass(frozen=True)
class SetScore:
    """One set's score: of its unique sequence, and of its repeats (soft-masked, as RepeatMasker writes them)."""

    name: str
    unique: Score
    repeats: Score

    def to_json(self) -> dict[str, Any]:
        """{"bits_per_base", "bases", "unique", "repeats"}: bits per base, null without any base."""
        total = self.unique + self.repeats
        parts = {"unique": self.unique, "repeats": self.repeats}
        bits = {name: part.bits_per_base if math.isfinite(part.loss) else None for name, part in parts.items()}
        return {
            "bits_per_base": total.bits_per_base if math.isfinite(total.loss) else None,
            "bases": total.bases,
        } | bits


def total_of(scores: Sequence[SetScore]) -> Score:
    """The score of all scored bases together."""
    return sum((part for one in scores for part in (one.unique, one.repeats)), Score(0.0, 0))


def evaluation_crops(reader: WindowReader, scored: ScoredSet, context_length: int) -> Crops:
    """Non-overlapping crops of a set, from its first window on, until they cover its bases; none if no window fits."""
    return Crops.of(list(_crops(reader, scored, context_length)))


def _crops(reader: WindowReader, scored: ScoredSet, context_length: int) -> Iterator[Crop]:
    wanted = max(1, math.ceil(scored.bases / context_length))
    for window in scored.windows.tolist():
        for number in range(min(wanted, (reader.bases(window) - 1) // context_length)):
            yield Crop(window, number * context_length, "+")
            wanted -= 1
        if not wanted:
            return


def score(
    nats: Callable[[MicroBatch], torch.Tensor],
    reader: WindowReader,
    scored: Sequence[ScoredSet],
    context_length: int,
    micro_batch_size: int,
    mesh: Mesh,
) -> list[SetScore]:
    """Score sets under `nats`, (2,) sums of a micro-batch whose repeats are apart; every rank gets the totals.

    `mesh` is the one the model is sharded for: its data ranks take different crops, its sequence ranks slices of them.

    Each rank makes the same number of forward passes (ZeRO 3 gathers parameters in them): one that has no crops takes
    the first one without targets.
    """
    totals_S22 = torch.zeros(len(scored), 2, 2, dtype=torch.float64)
    for totals_22, own in zip(totals_S22, scored, strict=True):
        for batch in _batches(
            reader, evaluation_crops(reader, own, context_length), context_length, micro_batch_size, mesh
        ):
            with torch.no_grad():
                totals_22[0] += nats(batch).double().cpu()
            totals_22[1] += torch.tensor(batch.bases_apart(), dtype=torch.float64)
    summed = mesh.sum(totals_S22).tolist()
    return [
        SetScore(own.name, *(Score(total, round(count)) for total, count in zip(*pair, strict=True)))
        for own, pair in zip(scored, summed, strict=True)
    ]


def _batches(
    reader: WindowReader, crops: Crops, context_length: int, micro_batch_size: int, mesh: Mesh
) -> Iterator[MicroBatch]:
    """The share of this rank of each round of forward passes."""
    per_round = micro_batch_size * mesh.data_parallel_size
    for first in range(0, len(crops), per_round):
        begin = first + mesh.data_parallel_rank * micro_batch_size
        mine = crops[:0] if mesh.is_idle else crops[begin : begin + micro_batch_size]
        tokens, mask = reader.read_batch(mine or crops[:1], context_length + 1)
        soft_mask = None if mask is None else torch.from_numpy(mask)
        whole = MicroBatch(torch.from_numpy(tokens), torch.arange(len(tokens)), soft_mask, repeats_apart=True)
        yield slice_batch(whole if mine else whole.without_targets(), mesh)
