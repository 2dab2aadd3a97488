"""Bits per base: a uniform guess scores 2, crops cover the split once, and only A, C, G, T count."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hdna.data.cache import ShardCache
from hdna.data.stream import WindowReader
from hdna.evaluate.bits import evaluation_crops, score, total_of
from hdna.evaluate.scored_sets import ScoredSet
from hdna.genome.interval import Interval
from hdna.genome.shard_set import load_shard_set
from hdna.genome.store import GenomeStore
from hdna.model import weighted_nats
from hdna.model.micro_batch import MicroBatch
from hdna.parallel.mesh import Mesh


def everything(reader: WindowReader, bases: int = 10**9) -> ScoredSet:
    return ScoredSet("all", np.arange(len(reader)), bases)


@pytest.fixture
def valid(tiny_set: Path) -> WindowReader:
    return WindowReader([load_shard_set(str(tiny_set))], "valid", ShardCache())


def uniform_over_acgt(batch: MicroBatch) -> torch.Tensor:
    """Nats of a model that gives each of A, C, G and T a quarter."""
    logits = torch.full((*batch.input_ids.shape, 16), -1e9)
    logits[..., 7:11] = 0.0
    return weighted_nats(logits, batch.targets, batch.weights)


@pytest.mark.parametrize(("context", "micro_batch"), [(256, 3), (512, 1), (2048, 2)])
def test_a_uniform_guess_scores_two_bits_over_the_acgt_of_the_split(
    valid: WindowReader, tiny_set: Path, context: int, micro_batch: int
) -> None:
    crops = evaluation_crops(valid, everything(valid), context)
    (result,) = score(uniform_over_acgt, valid, [everything(valid)], context, micro_batch, Mesh(0, 1))
    assert result.unique.bits_per_base == pytest.approx(2.0, abs=1e-6)
    assert result.repeats.bits_per_base == pytest.approx(2.0, abs=1e-6)
    store = GenomeStore.open(str(tiny_set.parent / "genome.zarr"))
    samples = [s for shard in load_shard_set(str(tiny_set)).shards if shard.split == "valid" for s in shard.samples]
    known = masked = 0
    for crop in crops:
        sample = samples[crop.window]
        first = sample.start + crop.offset + 1
        place = Interval(sample.contig, first, first + context)
        is_base = (store.read(place) >= 7) & (store.read(place) <= 10)
        known += int(is_base.sum())
        masked += int((is_base & store.read_mask(place)).sum())
    assert result.repeats.bases == masked > 0
    assert result.unique.bases == known - masked > 0
    assert total_of([result]).bases == known


def test_crops_do_not_overlap_and_stop_at_the_limit(valid: WindowReader) -> None:
    crops = evaluation_crops(valid, everything(valid), 256)
    assert len({(crop.window, crop.offset) for crop in crops}) == len(crops)
    assert all(crop.offset % 256 == 0 and crop.offset + 257 <= valid.bases(crop.window) for crop in crops)
    assert len(evaluation_crops(valid, everything(valid, 1000), 256)) == math.ceil(1000 / 256)
    assert evaluation_crops(valid, everything(valid, 1000), 10**6) == []


def test_a_rank_without_crops_takes_part_and_counts_nothing(valid: WindowReader) -> None:
    """Of three ranks one finds no crop left: it still runs a forward pass, without targets."""
    forwards = []

    def nats(batch: MicroBatch) -> torch.Tensor:
        forwards.append(int((batch.weights > 0).sum()))
        return uniform_over_acgt(batch)

    class Alone(Mesh):
        def sum(self, values: torch.Tensor) -> torch.Tensor:
            return values

    (result,) = score(nats, valid, [everything(valid, 512)], 256, 1, Alone(2, 3))  # two crops
    assert forwards == [0]
    assert result.unique.bases == result.repeats.bases == 0
