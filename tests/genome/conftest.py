"""What the tests of this folder share: one very small genome, its store and its shard set."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

BASES = 9_001
SPLITS = "one\t0\t6001\ttrain\none\t6001\t9001\tvalid\n"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with g.zarr and set/: six train windows of 1,001 bases and three valid ones, some soft-masked."""
    folder = tmp_path_factory.mktemp("small")
    letters = np.random.default_rng(11).choice(np.frombuffer(b"ACGT", np.uint8), BASES)
    letters[400:450], letters[1_700] = ord("N"), ord("R")
    letters[2_500:4_600] |= 0x20
    letters[6_200:6_300] |= 0x20
    (folder / "g.fa").write_bytes(b">one of a kind\n" + letters.tobytes() + b"\n")
    (folder / "splits.bed").write_text(SPLITS)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    write_shards([str(folder / "g.zarr")], str(folder / "set"), str(folder / "splits.bed"), window=1000)
    return folder


@pytest.fixture
def shards(small: Path, tmp_path: Path) -> Path:
    """A copy of the set that the test may damage."""
    return Path(shutil.copytree(small / "set", tmp_path / "set"))


@pytest.fixture
def store(small: Path, tmp_path: Path) -> Path:
    """A copy of the store that the test may damage."""
    return Path(shutil.copytree(small / "g.zarr", tmp_path / "g.zarr"))


@pytest.fixture(scope="session")
def small_indexed(small: Path) -> Path:
    """The same set as a large one, in three train shards and two valid ones; and set-of-many/, the ordinary one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hdna_prep.shards._SHARD_BASES", 1500)
        for name, most in (("set-of-many", 9), ("set-with-index", 8)):
            patch.setattr("hdna_prep.shards._MAX_WINDOWS_IN_MANIFEST", most)
            write_shards([str(small / "g.zarr")], str(small / name), str(small / "splits.bed"), window=1000)
    return small / "set-with-index"


@pytest.fixture
def indexed(small_indexed: Path, tmp_path: Path) -> Path:
    """A copy of the large set that the test may damage."""
    return Path(shutil.copytree(small_indexed, tmp_path / "indexed"))
