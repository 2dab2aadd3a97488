"""Pruning: the newest intact checkpoints stay whatever else there is, and what interrupted saves left goes."""

from pathlib import Path

import pytest
from support.checkpoints import begin, save
from support.files import bytes_of, flip_bit

from hdna.checkpoint import checkpoint_damage, list_checkpoints, load_weights, prune


def kept(run: Path) -> list[str]:
    """The folders there are, committed or not."""
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def removed(run: Path, keep_last: int, keep_every: int = 0) -> list[str]:
    return [Path(url).name for url in prune(str(run), keep_last, keep_every)]


def test_the_last_and_the_multiples_stay(tmp_path: Path) -> None:
    for step in range(10, 80, 10):
        save(tmp_path, step)
    urls = prune(str(tmp_path), keep_last=2, keep_every=30)
    assert urls == [f"{tmp_path}/checkpoints/step-0000{step}" for step in (10, 20, 40, 50)]
    assert kept(tmp_path) == ["step-000030", "step-000060", "step-000070"]
    assert all(checkpoint_damage(ref.url) is None for ref in list_checkpoints(str(tmp_path)))


@pytest.mark.parametrize("damaged", ["MANIFEST.json", "state.json", "part-00000-of-00002.safetensors"])
def test_a_damaged_newest_one_does_not_count(damaged: str, tmp_path: Path) -> None:
    """With keep_last=1 the run would otherwise be left with nothing to resume from."""
    for step in (1, 2, 3):
        save(tmp_path, step)
    flip_bit(tmp_path / "checkpoints" / "step-000003" / damaged)
    assert removed(tmp_path, keep_last=1) == ["step-000001"]
    assert kept(tmp_path) == ["step-000002", "step-000003"]
    assert load_weights(str(tmp_path))["b"].tolist() == [2.0] * 4
    assert removed(tmp_path, keep_last=1) == []


def test_a_damaged_one_below_those_that_are_kept_goes(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / "step-000002" / "state.json").unlink()
    assert removed(tmp_path, keep_last=2) == ["step-000001", "step-000002"]


def test_nothing_goes_where_nothing_is_intact(tmp_path: Path) -> None:
    for step in (1, 2):
        flip_bit(save(tmp_path, step) / "state.json")
    begin(tmp_path, 1, attempt=1)
    before = bytes_of(tmp_path)
    assert removed(tmp_path, keep_last=1) == []
    assert bytes_of(tmp_path) == before


def test_interrupted_saves_below_the_newest_intact_one_go_and_later_ones_stay(tmp_path: Path) -> None:
    """A later one may be in progress: its manifest would be written over files that are gone."""
    for step in (20, 40, 60):
        save(tmp_path, step)
    flip_bit(tmp_path / "checkpoints" / "step-000060" / "MANIFEST.json")
    for step, attempt in ((10, 0), (20, 1), (30, 0), (40, 1), (50, 0), (60, 1), (70, 0)):
        begin(tmp_path, step, attempt)
    assert removed(tmp_path, keep_last=3) == ["step-000010", "step-000020-r1", "step-000030"]
    assert kept(tmp_path) == [
        "step-000020",
        "step-000040",
        "step-000040-r1",
        "step-000050",
        "step-000060",
        "step-000060-r1",
        "step-000070",
    ]


def test_multiples_stay_and_their_interrupted_saves_go(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        save(tmp_path, step)
    begin(tmp_path, 20, attempt=1)
    assert removed(tmp_path, keep_last=1, keep_every=20) == ["step-000010", "step-000030", "step-000020-r1"]
    assert kept(tmp_path) == ["step-000020", "step-000040"]


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    for name in ("step-1", "step-000001.bak", "notes"):
        (tmp_path / "checkpoints" / name).mkdir()
        (tmp_path / "checkpoints" / name / "MANIFEST.json").write_text("mine")
    assert removed(tmp_path, keep_last=1) == ["step-000001"]
    assert kept(tmp_path) == ["notes", "step-000001.bak", "step-000002", "step-1"]


def test_what_was_found_intact_before_is_not_read_again(tmp_path: Path) -> None:
    """A run would else read all that it keeps, from a bucket, at each save. Here it would be found damaged."""
    verified: dict[str, float] = {}
    for step in (1, 2, 3):
        save(tmp_path, step)
    prune(str(tmp_path), 2, verified=verified)
    flip_bit(tmp_path / "checkpoints" / "step-000003" / "state.json")
    save(tmp_path, 4)
    assert [Path(url).name for url in prune(str(tmp_path), 2, verified=verified)] == ["step-000002"]


@pytest.mark.parametrize("damaged", ["MANIFEST.json", "state.json"])
def test_neither_is_the_best_one_read_again(damaged: str, tmp_path: Path) -> None:
    verified: dict[str, float] = {}
    for step, score in enumerate([1.90, 1.95, 1.96], 1):
        save(tmp_path, step, score=score)
    prune(str(tmp_path), 1, verified=verified)
    assert kept(tmp_path) == ["step-000001", "step-000003"]
    flip_bit(tmp_path / "checkpoints" / "step-000001" / damaged)
    save(tmp_path, 4, score=1.94)
    assert [Path(url).name for url in prune(str(tmp_path), 1, verified=verified)] == ["step-000003"]


def test_the_best_by_valid_bits_per_base_stays(tmp_path: Path) -> None:
    for step, score in enumerate([1.97, 1.93, None, 1.91, 1.91, 1.95, 1.96], 1):
        save(tmp_path, step, score=score)
    assert removed(tmp_path, keep_last=2) == [f"step-00000{step}" for step in (1, 2, 3, 4)]
    save(tmp_path, 8, score=1.90)
    assert removed(tmp_path, keep_last=2) == ["step-000005", "step-000006"], "the best is among the newest"
    assert kept(tmp_path) == ["step-000007", "step-000008"]


def test_the_best_of_the_intact_ones_stays(tmp_path: Path) -> None:
    for step, score in enumerate([1.93, 1.92, 1.91, 1.95], 1):
        save(tmp_path, step, score=score)
    flip_bit(tmp_path / "checkpoints" / "step-000003" / "state.json")
    flip_bit(tmp_path / "checkpoints" / "step-000002" / "MANIFEST.json")
    assert removed(tmp_path, keep_last=1) == ["step-000002", "step-000003"]


@pytest.mark.parametrize("score", ["1.0", True, -1.0, 1e300, [1], None])
def test_what_is_no_score_does_not_keep_a_checkpoint(score: object, tmp_path: Path) -> None:
    save(tmp_path, 1, score=score)
    save(tmp_path, 2, score=1.9)
    save(tmp_path, 3)
    assert removed(tmp_path, keep_last=1) == ["step-000001"]
