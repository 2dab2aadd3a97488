"""Every genome of a run is scored, by its share: none is left out because another one comes first."""

from pathlib import Path

import numpy as np
import pytest

from hdna.data.cache import ShardCache
from hdna.data.stream import WindowReader
from hdna.evaluate.bits import evaluation_crops
from hdna.evaluate.scored_sets import scored_sets
from hdna.genome.shard_set import ShardSet, load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

GENOMES = {"large": 60_000, "small": 20_000, "other": 40_000}
"""Bases."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[ShardSet]:
    """Two genomes in one shard set, a third in one of its own."""
    folder = tmp_path_factory.mktemp("sets")
    for number, (name, bases) in enumerate(GENOMES.items()):
        drawn = np.random.default_rng(number).choice(np.frombuffer(b"ACGT", np.uint8), size=bases).tobytes()
        (folder / f"{name}.fa").write_bytes(b">" + name.encode() + b"\n" + drawn + b"\n")
        encode_genome([str(folder / f"{name}.fa")], str(folder / f"{name}.zarr"))
    for shards, names in (("both", ("large", "small")), ("third", ("other",))):
        write_shards([str(folder / f"{name}.zarr") for name in names], str(folder / shards), None, "hash", 512)
    return [load_shard_set(str(folder / shards)) for shards in ("both", "third")]


def assemblies(shard_sets: list[ShardSet], split: str) -> list[str]:
    """Of each window of a split, in the order of manifests."""
    shards = [shard for one in shard_sets for shard in one.shards if shard.split == split]
    return [sample.assembly for shard in shards for sample in shard.samples]


def test_windows_are_named_by_their_assembly(sets: list[ShardSet]) -> None:
    found = scored_sets(sets, "train", 1e9)
    assert [own.name for own in found] == ["large", "small", "other"]
    wanted = np.array(assemblies(sets, "train"))
    for own in found:
        np.testing.assert_array_equal(own.windows, np.flatnonzero(wanted == own.name))


def test_shares_follow_bases_or_weights(sets: list[ShardSet]) -> None:
    by_bases = {own.name: own.bases for own in scored_sets(sets, "train", 12_000)}
    total = sum(GENOMES.values())
    for name, bases in GENOMES.items():
        # Whole windows are drawn into splits: a twentieth of ~100 windows, give or take twice its root.
        assert by_bases[name] == pytest.approx(12_000 * bases / total, rel=0.15)
    weighted = {own.name: own.bases for own in scored_sets(sets, "train", 12_000, [1.0, 3.0])}
    assert weighted["other"] == 9_000
    assert weighted["large"] + weighted["small"] == pytest.approx(3_000, abs=1)
    assert weighted["large"] / weighted["small"] == pytest.approx(by_bases["large"] / by_bases["small"], rel=0.01)


def test_few_bases_are_still_of_every_assembly(sets: list[ShardSet]) -> None:
    reader = WindowReader(sets, "train", ShardCache())
    names = assemblies(sets, "train")
    for own in scored_sets(sets, "train", 2_000):
        crops = evaluation_crops(reader, own, 256)
        assert {names[crop.window] for crop in crops} == {own.name}
        assert (len(crops) - 1) * 256 < own.bases <= len(crops) * 256


def test_an_assembly_in_two_sets_has_two_names(sets: list[ShardSet], tmp_path: Path) -> None:
    names = [own.name for own in scored_sets([sets[0], sets[0]], "train", 1e9)]
    assert names == ["large (set 0)", "small (set 0)", "large (set 1)", "small (set 1)"]
