"""The commit law where the power fails: after any sync, a set is there whole or not at all; once reported, it is there.

Only the order of the calls decides, so a model of the disk (support/power_loss.py) stands in for pulling the plug.
"""

from pathlib import Path

import pytest
import torch
from support.power_loss import ForgetfulDisk, power_may_fail

from hdna import storage
from hdna.checkpoint import (
    RunState,
    checkpoint_damage,
    checkpoint_url,
    commit_checkpoint,
    list_checkpoints,
    prune,
    write_checkpoint_part,
)
from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna_prep.encode import encode_genome, write_fasta
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome
from hdna_prep.verify import verify

BASES = 20_000


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with g.fa and g.zarr."""
    folder = tmp_path_factory.mktemp("genome")
    write_genome(folder / "g.fa", BASES, seed=1)
    encode_genome([str(folder / "g.fa")], str(folder / "g.zarr"))
    return folder


def sound_or_absent(path: Path, kind: str) -> bool:
    """Whether a set is there; fails when one is there that is not whole."""
    if not (path / "manifest.json").exists():
        return False
    assert verify(str(path)) == [], kind
    return True


def test_a_genome_store_is_there_whole_or_not_at_all(genome: Path, tmp_path: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    seen = set()
    with power_may_fail(root, tmp_path / "left", lambda left: seen.add(sound_or_absent(left / "deep/g.zarr", "store"))):
        encode_genome([str(genome / "g.fa")], str(root / "deep" / "g.zarr"))
    assert seen == {False, True}
    last = sorted((tmp_path / "left").iterdir())[-2]  # the disk that kept only what was synced
    assert GenomeStore.open(str(last / "deep" / "g.zarr")).bases == BASES


def test_a_shard_set_is_there_whole_or_not_at_all(genome: Path, tmp_path: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    seen = set()
    with power_may_fail(root, tmp_path / "left", lambda left: seen.add(sound_or_absent(left / "set", "shard set"))):
        write_shards([str(genome / "g.zarr")], str(root / "set"), window=3000)
    assert seen == {False, True}
    assert sound_or_absent(sorted((tmp_path / "left").iterdir())[-2] / "set", "shard set")


def test_checkpoints_are_intact_whatever_the_moment_and_the_older_one_goes_last(tmp_path: Path) -> None:
    """Two saves, and a prune that removes the first."""
    root, tensors = tmp_path / "disk", {"parameters.w": torch.arange(1000.0)}
    root.mkdir()

    def save(step: int) -> None:
        url = checkpoint_url(str(root / "run"), step, 0)
        entry = write_checkpoint_part(url, 0, 1, tensors)
        commit_checkpoint(str(root / "run"), RunState(step=step), 0, [entry])

    found: list[list[int]] = []

    def check(left: Path) -> None:
        refs = list_checkpoints(str(left / "run"))
        assert [checkpoint_damage(ref.url) for ref in refs] == [None] * len(refs)
        found.append([ref.step for ref in refs])

    with power_may_fail(root, tmp_path / "left", check):
        save(1)
        save(2)
        prune(str(root / "run"), keep_last=1)
    states = [found[0], *(now for before, now in zip(found[::2], found[2::2], strict=False) if before != now)]
    assert states == [[], [1], [1, 2], [2]]


def test_a_replaced_file_holds_the_old_bytes_or_the_new_ones(tmp_path: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    storage.write(str(root / "state.json"), b"old")
    seen: list[bytes] = []
    with power_may_fail(root, tmp_path / "left", lambda left: seen.append((left / "state.json").read_bytes())):
        storage.write(str(root / "state.json"), b"new")
    assert set(seen) == {b"old", b"new"}
    assert seen[-2] == b"new"


def test_a_fasta_written_back_is_there_whole_or_not_at_all(genome: Path, tmp_path: Path) -> None:
    root, want = tmp_path / "disk", (genome / "g.fa").read_bytes()
    root.mkdir()
    seen = set()

    def check(left: Path) -> None:
        path = left / "back.fa"
        seen.add(path.exists())
        assert not path.exists() or path.read_bytes() == want

    with power_may_fail(root, tmp_path / "left", check):
        write_fasta(str(genome / "g.zarr"), str(root / "back.fa"))
    assert seen == {False, True}


def test_the_model_forgets_what_was_not_synced(tmp_path: Path) -> None:
    """The model itself: a name without its bytes on a careless disk, neither on a strict one."""
    root = tmp_path / "disk"
    root.mkdir()
    disk = ForgetfulDisk(root)
    (root / "file").write_bytes(b"content")
    disk.survivor(tmp_path / "strict", every_name=False)
    disk.survivor(tmp_path / "careless", every_name=True)
    disk.close()
    assert list((tmp_path / "strict").iterdir()) == []
    assert (tmp_path / "careless" / "file").read_bytes() == b""
    with pytest.raises(InputError, match="not a committed genome store"):
        GenomeStore.open(str(tmp_path / "strict"))
