"""Leaks: planted ones are found at their identity, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from support.fuzz_doors import save_checkpoint

from hdna.checkpoint import RunState, checkpoint_url
from hdna.config.recipe import parse_recipe
from hdna.downstream.subject import Subject
from hdna.downstream.tasks.leaks import leaks_from_rows, leaks_from_sets
from hdna.downstream.tasks.pretraining_sets import pretraining_sets, trained_before
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.packing import Bytes
from hdna.genome.shard_set import load_shard_set
from hdna.genome.store import GenomeStore


def random_rows(count: int, seed: int, length: int = 300) -> list[Bytes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(alphabet.A, alphabet.T + 1, size=length).astype(np.uint8) for _ in range(count)]


def mutated(tokens: Bytes, share: float, seed: int) -> Bytes:
    """Another letter at each base with that probability."""
    rng = np.random.default_rng(seed)
    changed = rng.random(len(tokens)) < share
    shift = rng.integers(1, 4, size=len(tokens)) * changed
    return ((tokens - alphabet.A + shift) % 4 + alphabet.A).astype(np.uint8)


def test_planted_duplicates_are_found_on_both_strands_and_only_they() -> None:
    train, test = random_rows(200, 0), random_rows(100, 1)
    test[3], test[50] = train[7].copy(), alphabet.reverse_complement(train[8])
    found = leaks_from_rows(test, train)
    assert found.exact_N is not None
    assert np.flatnonzero(found.exact_N).tolist() == [3, 50]
    assert np.flatnonzero(found.found_N).tolist() == [3, 50]
    assert found.counts() == {"exact": 2, "0.99": 2, "0.95": 2, "0.90": 2, "not_compared": 0}


def test_near_duplicates_are_found_at_their_identity() -> None:
    """A share (1 - d)^21 of k-mers survives a share d of changed bases: its 21st root is 1 - d."""
    train = random_rows(50, 0, length=20_000)
    test = [mutated(own, 0.04, seed) for seed, own in enumerate(train)]
    found = leaks_from_rows(test, train)
    assert np.abs(found.identity_N - 0.96).max() < 0.01  # of 1 in 16 k-mers, some 500 of each row
    assert found.exact_N is not None and not found.exact_N.any()


def test_a_row_that_two_train_rows_cover_between_them_is_found() -> None:
    train, test = random_rows(20, 0), random_rows(20, 1)
    test[5] = np.concatenate([train[2][150:], train[9][:150]])
    assert np.flatnonzero(leaks_from_rows(test, train).found_N).tolist() == [5]


def test_short_rows_are_compared_and_too_short_ones_said() -> None:
    train, test = random_rows(100, 0, length=70), random_rows(10, 1, length=70)
    test[0] = mutated(train[0], 0.0, 0)
    test[0][35] = alphabet.A if test[0][35] != alphabet.A else alphabet.C
    test[1] = test[1][:25]
    found = leaks_from_rows(test, train)
    assert np.flatnonzero(found.found_N).tolist() == [0]
    assert found.identity_N[0] == pytest.approx((29 / 50) ** (1 / 21), abs=1e-12)  # one base changes 21 k-mers of 50
    assert found.counts()["not_compared"] == 1


def test_rows_of_the_pretraining_train_split_are_found_and_only_they(tiny_set: Path) -> None:
    shard_set = load_shard_set(str(tiny_set))
    store = GenomeStore.open(str(tiny_set.parent / "genome.zarr"))
    wanted, test = [], list[Bytes]()
    for split in ("train", "valid", "test"):
        samples = [sample for shard in shard_set.shards if shard.split == split for sample in shard.samples]
        for sample in samples[:4]:
            for start in range(sample.start, sample.end - 250, 250):
                own = store.read(Interval(sample.contig, start, start + 250))
                if (own <= alphabet.T).all():
                    test.append(alphabet.reverse_complement(own) if start % 500 else own)
                    wanted.append(split == "train")
    found = leaks_from_sets(test, [shard_set])
    assert found.found_N.tolist() == wanted
    assert any(wanted) and not all(wanted)


def committed(folder: Path, recipe: str, data: dict[str, str]) -> Subject:
    """A checkpoint that says what it was trained on, as far as that is asked."""
    save_checkpoint(folder, RunState(step=1, tokens=1, recipe=recipe, data=data))
    return Subject(checkpoint_url(str(folder), 1, 0), 1, 1, "0" * 64, parse_recipe(recipe, "r"), None, None)  # type: ignore[arg-type]


def test_the_sets_of_pretraining_are_those_that_the_checkpoint_names(tmp_path: Path, tiny_recipe: Path) -> None:
    recipe = tiny_recipe.read_text()
    (url,) = parse_recipe(recipe, "r").data.shards
    checksum = load_shard_set(url).checksum
    found = pretraining_sets(committed(tmp_path / "good", recipe, {"0": checksum}))
    assert [own.url for own in found] == [url]
    for name, data in (("imported", {}), ("changed", {"0": "0" * 64})):
        with pytest.raises(InputError, match=r"does not say|has changed"):
            pretraining_sets(committed(tmp_path / name, recipe, data))


def test_what_a_run_began_from_is_said(tmp_path: Path, tiny_recipe: Path) -> None:
    recipe = tiny_recipe.read_text()
    assert trained_before(committed(tmp_path / "one", recipe, {})) is None
    began = recipe.replace("seed: 5}", "seed: 5, init_from: runs/human}")
    assert "runs/human" in str(trained_before(committed(tmp_path / "two", began, {})))
