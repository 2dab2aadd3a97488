"""What training reads is what the genome store holds, on both strands; damage is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.files import flip_bit
from support.shard_sets import TRAIN, member, rewrite_shard

from hdna.config import DataConfig
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator
from hdna.data.order import Crop, Crops
from hdna.data.stream import Rows, WindowReader
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.shard_set import load_shard_set
from hdna.genome.store import GenomeStore
from hdna.model import IGNORE
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards


@pytest.fixture
def reader(tiny_set: Path) -> WindowReader:
    return WindowReader([load_shard_set(str(tiny_set))], "train", ShardCache())


def test_crops_are_the_genome_on_both_strands(reader: WindowReader, tiny_set: Path) -> None:
    store = GenomeStore.open(str(tiny_set.parent / "genome.zarr"))
    samples = [s for shard in load_shard_set(str(tiny_set)).shards if shard.split == "train" for s in shard.samples]
    assert len(samples) == len(reader) > 20
    for window in range(0, len(reader), 3):
        sample, offset = samples[window], 17
        bases = min(300, reader.bases(window) - offset)
        for strand in "+-":
            place = Interval(sample.contig, sample.start + offset, sample.start + offset + bases, strand)
            tokens, mask = reader.read(Crop(window, offset, strand), bases)
            assert np.array_equal(tokens, store.read(place))
            expected = store.read_mask(place)
            assert np.array_equal(mask if mask is not None else np.zeros(bases, bool), expected)


def test_soft_masks_follow_their_bases_to_the_other_strand(tmp_path: Path) -> None:
    """Upper and lower case in turns too short for any mistake to hide, beside a contig without a mask."""
    draw = np.random.default_rng(3)
    cased = np.frombuffer(b"ACGTacgtgt", np.uint8)[draw.integers(0, 10, 9000)]
    plain = np.frombuffer(b"ACGT", np.uint8)[draw.integers(0, 4, 9000)]
    (tmp_path / "g.fa").write_bytes(b">cased\n%s\n>plain\n%s\n" % (cased.tobytes(), plain.tobytes()))
    encode_genome([str(tmp_path / "g.fa")], str(tmp_path / "g.zarr"))
    shard_set = write_shards([str(tmp_path / "g.zarr")], str(tmp_path / "shards"), window=500)
    windows, store = WindowReader([shard_set], "train", ShardCache()), GenomeStore.open(str(tmp_path / "g.zarr"))
    samples = [s for shard in shard_set.shards if shard.split == "train" for s in shard.samples]
    assert {sample.mask_offset is None for sample in samples} == {True, False}
    crops = Crops.of([Crop(w, 9, "+-"[w % 2]) for w in range(len(windows)) if windows.bases(w) >= 109])
    _, mask = windows.read_batch(crops, 100, slice(20, 70))
    assert mask is not None
    for row, crop in zip(mask, crops, strict=True):
        start = samples[crop.window].start + 9
        place = Interval(samples[crop.window].contig, start, start + 100, crop.strand)
        assert np.array_equal(row, store.read_mask(place)[20:70])


def test_nothing_is_read_past_a_windows_end(reader: WindowReader) -> None:
    with pytest.raises(IndexError):
        reader.read(Crop(0, 1, "+"), reader.bases(0))
    with pytest.raises(IndexError):
        reader.read_batch(Crops.of([Crop(0, 0, "+"), Crop(1, -1, "-")]), 10)


def test_crops_read_together_are_as_read_alone_whole_or_in_part(reader: WindowReader) -> None:
    """Rows of several shards, with and without masks, both strands: a part of a row is that part of the strand."""
    windows = [w for w in range(len(reader)) if reader.bases(w) >= 130]
    crops = Crops.of([Crop(w, 5 * w % 40, "+-"[w % 3 == 0]) for w in [*windows[::2], windows[1], windows[1]]])
    for part in (slice(0, 90), slice(0, 17), slice(30, 61), slice(89, 90)):
        tokens, mask = reader.read_batch(crops, 90, part)
        assert mask is not None
        assert tokens.shape == mask.shape == (len(crops), part.stop - part.start)
        for i, crop in enumerate(crops):
            alone, its_mask = reader.read(crop, 90)
            assert np.array_equal(tokens[i], alone[part])
            assert np.array_equal(mask[i], np.zeros(90, bool)[part] if its_mask is None else its_mask[part])
        unmasked, none = reader.read_batch(crops, 90, part, masked=False)
        assert none is None and np.array_equal(unmasked, tokens)


@pytest.mark.parametrize(("repeat_weight", "reads"), [(1.0, False), (0.5, True)])
def test_soft_masks_and_n_reach_the_loss(
    reader: WindowReader, tiny_set: Path, repeat_weight: float, reads: bool
) -> None:
    """From the genome's letters to targets and weights; masks are not even read where they would change nothing."""
    store = GenomeStore.open(str(tiny_set.parent / "genome.zarr"))
    samples = [s for shard in load_shard_set(str(tiny_set)).shards if shard.split == "train" for s in shard.samples]
    crops = Crops.of([Crop(window, 3, "+-"[window % 2]) for window in range(len(reader)) if reader.bases(window) > 203])
    asked = []

    def read(crops: Crops, bases: int, part: slice, masked: bool) -> Rows:
        asked.append(masked)
        return reader.read_batch(crops, bases, part, masked)

    collator = Collator(read, DataConfig(shards=["unused"], repeat_weight=repeat_weight), 1)
    batch = collator.micro_batch(crops, range(len(crops)), 200, slice(0, 200))
    assert asked == [reads]
    for i, crop in enumerate(crops):
        start = samples[crop.window].start + crop.offset
        place = Interval(samples[crop.window].contig, start, start + 201, crop.strand)
        letters, masked = store.read(place).astype(np.int64)[1:], store.read_mask(place)[1:]
        known = (letters >= alphabet.A) & (letters <= alphabet.T)
        assert batch.targets[i].tolist() == np.where(known, letters, IGNORE).tolist()
        assert batch.weights[i].tolist() == (known * np.where(masked, repeat_weight, 1.0)).tolist()
    assert (batch.weights == 0).any() and (batch.weights == 1).any()
    assert bool((batch.weights == 0.5).any()) is reads


def copied(tiny_set: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_set, tmp_path / "shards")
    return tmp_path / "shards"


def read_all(folder: Path) -> None:
    windows = WindowReader([load_shard_set(str(folder))], "train", ShardCache())
    for window in range(len(windows)):
        windows.read(Crop(window, 0, "+"), 2)


def test_a_missing_shard_is_named(tiny_set: Path, tmp_path: Path) -> None:
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    shard.unlink()
    with pytest.raises(InputError, match=rf"{shard}: shard is missing"):
        read_all(folder)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_one_flipped_bit_is_noticed(where: float, tiny_set: Path, tmp_path: Path) -> None:
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    flip_bit(shard, where)
    with pytest.raises(InputError, match=rf"{shard}: damaged"):
        read_all(folder)


def test_a_truncated_shard_is_noticed(tiny_set: Path, tmp_path: Path) -> None:
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    shard.write_bytes(shard.read_bytes()[:-1024])
    with pytest.raises(InputError, match=rf"{shard}: damaged"):
        read_all(folder)


def test_a_tar_that_is_not_what_the_manifest_lists_is_refused(tiny_set: Path, tmp_path: Path) -> None:
    """Another program wrote the manifest: checksums hold, but the members are others (more cases: tests/genome)."""
    folder = copied(tiny_set, tmp_path)
    rewrite_shard(folder, lambda members: members.append(member("w999999999.json", b"{}")))
    with pytest.raises(InputError, match=f"{folder / TRAIN}: does not end after the manifest's samples: make the set"):
        read_all(folder)
