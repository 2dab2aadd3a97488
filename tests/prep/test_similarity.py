"""Splits by similarity: near-identical stretches, on either strand, are never on both sides; repeats join nothing."""

from pathlib import Path

import numpy as np
import pytest
from support.command_line import hdna
from support.homologs import fasta, random_letters, relative, reverse_complement

from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna.genome.shard_set import load_shard_set
from hdna_prep.encode import encode_genome
from hdna_prep.pool import processes
from hdna_prep.shards import write_shards
from hdna_prep.splits import Stretch, split_by_hash, split_by_similarity
from hdna_prep.verify import verify

WINDOW = 10_000
WORD = 31


def stores_of(folder: Path, *genomes: dict[str, bytes]) -> dict[str, GenomeStore]:
    stores = {}
    for number, contigs in enumerate(genomes):
        name = f"g{number}"
        (folder / f"{name}.fa").write_bytes(fasta(contigs))
        encode_genome([str(folder / f"{name}.fa")], str(folder / f"{name}.zarr"))
        stores[name] = GenomeStore.open(str(folder / f"{name}.zarr"))
    return stores


def shared_stretches(genome: dict[str, bytes], stretches: list[Stretch], longest: int) -> int:
    """Held-out stretches of `longest` bases of which more than 40 % begin a 31-letter word of train, on either strand.

    By strings: at 98 % identity 53 % of words are whole, at 96 % 28 %; the repeat family below gives 30 % of 5,000.
    """
    train: set[bytes] = set()
    for s in stretches:
        if s.split == "train":
            text = genome[s.contig][s.start : s.end].upper()
            for strand in (text, reverse_complement(text)):
                train.update(strand[i : i + WORD] for i in range(len(strand) - WORD + 1))
    count = 0
    for s in stretches:
        if s.split != "train":
            text = genome[s.contig][s.start : s.end].upper()
            there = [text[i : i + WORD] in train for i in range(len(text) - WORD + 1)]
            sums = np.concatenate(([0], np.cumsum(there)))
            count += int(np.count_nonzero(sums[longest:] - sums[:-longest] > 0.4 * longest))
    return count


def shares(stretches: list[Stretch]) -> dict[str, float]:
    total = sum(s.bases for s in stretches)
    return {split: sum(s.bases for s in stretches if s.split == split) / total for split in ("train", "valid", "test")}


@pytest.fixture(scope="module")
def duplicated() -> dict[str, bytes]:
    """A genome of 600 kb with 20 duplications of 6,000 bases at 98 to 100 %, half of them on the other strand.

    A repeat family of 2,000 bases at 99 % is in 45 places besides.
    """
    rng = np.random.default_rng(1)
    text = bytearray(random_letters(rng, 600_000))
    places = rng.permutation(90)[:85] * 6_500 + 300
    family = random_letters(rng, 2_000)
    for place in places[:45]:
        text[place : place + 2_000] = relative(rng, family, 0.99)
    for number, (source, copy) in enumerate(zip(places[45:65].tolist(), places[65:].tolist(), strict=True)):
        stretch = relative(rng, bytes(text[source : source + 6_000]), 1 - number % 3 / 100)
        text[copy : copy + 6_000] = reverse_complement(stretch) if number % 2 else stretch
    text[100_000:150_000] = bytes(text[100_000:150_000]).lower()
    return {"chr1": bytes(text[:350_000]), "chr2": bytes(text[350_000:])}


def test_no_duplication_is_on_both_sides(duplicated: dict[str, bytes], tmp_path: Path) -> None:
    """By brute force; and splits by hash have some on both sides, or this would show nothing."""
    stores = stores_of(tmp_path, duplicated)
    assert shared_stretches(duplicated, split_by_hash(stores, WINDOW), 5_000) > 1000
    stretches = split_by_similarity(stores, WINDOW)
    assert shared_stretches(duplicated, stretches, 5_000) == 0
    assert sum(s.bases for s in stretches) == 600_000
    assert all(0.05 < shares(stretches)[split] < 0.15 for split in ("valid", "test")), shares(stretches)


def test_without_duplications_the_splits_are_those_by_hash(tmp_path: Path) -> None:
    """And relatives at 88 % are no duplications."""
    rng = np.random.default_rng(2)
    text = random_letters(rng, 75_000)
    genome = {"a": text + relative(rng, text, 0.88), "b": b"N" * 40_000 + random_letters(rng, 30_000)}
    stores = stores_of(tmp_path, genome)
    assert split_by_similarity(stores, WINDOW) == split_by_hash(stores, WINDOW)


def test_a_repeat_family_joins_nothing_and_many_copies_of_a_genome_do(tmp_path: Path) -> None:
    """Both are in more places than are compared pair by pair."""
    rng = np.random.default_rng(3)
    family = random_letters(rng, 6_000)
    blocks = [random_letters(rng, 14_000) + relative(rng, family, 0.99) for _ in range(30)]
    stores = stores_of(tmp_path, {"a": b"".join(blocks)})
    assert split_by_similarity(stores, 20_000) == split_by_hash(stores, 20_000)
    species = [random_letters(rng, 18_000) for _ in range(10)]
    strains = {
        f"s{number}-{strain}": random_letters(rng, 12_000) + relative(rng, text, 0.998, 0.0005)
        for number, text in enumerate(species)
        for strain in range(24)
    }
    (tmp_path / "strains").mkdir()
    stores = stores_of(tmp_path / "strains", strains)
    splits: dict[str, set[str]] = {}
    for stretch in split_by_similarity(stores, 40_000):
        splits.setdefault(stretch.contig.split("-")[0], set()).add(stretch.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {"train", "valid", "test"}


@pytest.mark.parametrize("window", [1_500, 5_000])
def test_identical_short_windows_are_together(window: int, tmp_path: Path) -> None:
    """Windows of less than a piece, too, and in however many copies."""
    rng = np.random.default_rng(4)
    text = [random_letters(rng, window) for _ in range(30)]
    kinds = [*range(30), *range(30), *range(15), *[7] * 20]
    genome = {f"c{i}": text[kind] if i % 2 else reverse_complement(text[kind]) for i, kind in enumerate(kinds)}
    stretches = split_by_similarity(stores_of(tmp_path, genome), window)
    splits = {s.contig: s.split for s in stretches}
    assert all(splits[f"c{i}"] == splits[f"c{kind}"] for i, kind in enumerate(kinds))
    assert set(splits.values()) == {"train", "valid", "test"}


def test_workers_change_nothing(duplicated: dict[str, bytes], tmp_path: Path) -> None:
    stores = stores_of(tmp_path, duplicated)
    with processes(2) as pool:
        assert split_by_similarity(stores, WINDOW, pool) == split_by_similarity(stores, WINDOW)


def test_a_set_by_similarity_is_sound_and_says_so(duplicated: dict[str, bytes], tmp_path: Path) -> None:
    stores_of(tmp_path, duplicated)
    options = ("--split-by", "similarity", "--window", WINDOW, "--workers", 1)
    hdna("prep", "shards", tmp_path / "g0.zarr", "--out", tmp_path / "set", *options)
    provenance = load_shard_set(str(tmp_path / "set")).provenance
    assert provenance.splits == {"rule": "similarity"}
    assert provenance.command.endswith("--split-by similarity --window 10000")
    assert verify(str(tmp_path / "set")) == []
    with pytest.raises(InputError, match="want hash, contig or similarity"):
        write_shards([str(tmp_path / "g0.zarr")], str(tmp_path / "other"), rule="moon")
