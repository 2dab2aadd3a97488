"""What training reads is what the genome store holds, on both strands; damage is named."""

import io
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import torch

from hdna.commit import describe
from hdna.data.batch import collate
from hdna.data.cache import ShardCache
from hdna.data.order import Crop
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome import alphabet
from hdna.genome.interval import Interval
from hdna.genome.shard import load_shard_set
from hdna.genome.store import GenomeStore
from hdna.model import IGNORE


@pytest.fixture
def reader(tiny_set):
    return WindowReader([load_shard_set(str(tiny_set))], "train", ShardCache())


def test_crops_are_the_genome_on_both_strands(reader, tiny_set):
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


def test_nothing_is_read_past_a_windows_end(reader):
    with pytest.raises(IndexError):
        reader.read(Crop(0, 1, "+"), reader.bases(0))


def test_what_is_predicted_and_how_much_it_weighs():
    """`ACGTNRacg`: the first base is context only; N, R and specials are no targets; lower case weighs less."""
    tokens = alphabet.encode(b"ACGTNRacg")
    mask = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1], dtype=bool)
    batch = collate([(tokens, mask)], [3], ignore_n=True, repeat_weight=0.25)
    assert batch.input_ids.tolist() == [tokens[:-1].tolist()]
    assert batch.targets.tolist() == [[8, 9, 10, IGNORE, IGNORE, 7, 8, 9]]
    assert batch.weights.tolist() == [[1, 1, 1, 0, 0, 0.25, 0.25, 0.25]]
    assert batch.samples.tolist() == [3]
    with_n = collate([(tokens, mask)], [0], ignore_n=False, repeat_weight=1.0)
    assert with_n.targets.tolist() == [[8, 9, 10, 11, IGNORE, 7, 8, 9]]
    assert with_n.weights.tolist() == [[1, 1, 1, 1, 0, 1, 1, 1]]
    assert with_n.input_ids.dtype == torch.int64


def copied(tiny_set, tmp_path):
    shutil.copytree(tiny_set, tmp_path / "shards")
    return tmp_path / "shards"


def read_all(folder):
    windows = WindowReader([load_shard_set(str(folder))], "train", ShardCache())
    return [windows.read(Crop(window, 0, "+"), 2) for window in range(len(windows))]


def test_a_missing_shard_is_named(tiny_set, tmp_path):
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    shard.unlink()
    with pytest.raises(InputError, match=rf"{shard}: shard is missing"):
        read_all(folder)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_one_flipped_bit_is_noticed(where, tiny_set, tmp_path):
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    data = bytearray(shard.read_bytes())
    data[int(len(data) * where)] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=rf"{shard}: damaged"):
        read_all(folder)


def test_a_truncated_shard_is_noticed(tiny_set, tmp_path):
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    shard.write_bytes(shard.read_bytes()[:-1024])
    with pytest.raises(InputError, match=rf"{shard}: damaged"):
        read_all(folder)


def test_a_tar_that_is_not_what_the_manifest_lists_is_refused(tiny_set, tmp_path):
    """Another program wrote the manifest: checksums hold, but the members are others."""
    folder = copied(tiny_set, tmp_path)
    shard = next(folder.glob("train-*.tar"))
    with tarfile.open(shard, "a") as tar:
        info = tarfile.TarInfo("w999999999.json")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    manifest = json.loads((folder / "manifest.json").read_text())
    now = describe(shard)
    for entry in [*manifest["shards"], {**manifest["files"][shard.name], "url": shard.name}]:
        if entry["url"] == shard.name:
            entry.update(bytes=now.bytes, sha256=now.sha256)
    manifest["files"][shard.name] = {"bytes": now.bytes, "sha256": now.sha256}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="does not hold the samples its manifest lists"):
        read_all(folder)


def test_the_cache_stays_below_its_limit(tiny_set, tmp_path):
    """Least recently used copies go first; a copy in use is never one of them."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for age, name in enumerate("abc"):
        (folder / f"{name}.tar").write_bytes(b"x" * 1000)
        os.utime(folder / f"{name}.tar", (age, age))
    ShardCache(folder, limit_bytes=2500)._make_room(1000)
    assert sorted(path.name for path in folder.iterdir()) == ["c.tar"]
