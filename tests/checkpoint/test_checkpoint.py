"""Checkpoints: readable by stock safetensors, there whole or not at all, ordered by step."""

import os
from pathlib import Path
from threading import Barrier, Event

import pytest
import torch
from safetensors.torch import load_file
from support.checkpoints import OTHERS, TENSORS, begin, save
from support.files import bytes_of, flip_bit

from hdna import storage
from hdna.checkpoint import (
    RunState,
    checkpoint_damage,
    checkpoint_url,
    commit_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_weights,
    newest_intact,
    next_attempt,
    write_checkpoint_part,
)
from hdna.errors import InputError


def steps(run: Path) -> list[int]:
    return [ref.step for ref in list_checkpoints(str(run))]


def test_stock_safetensors_opens_what_was_written(tmp_path: Path) -> None:
    url = save(tmp_path, 5)
    found = load_file(url / "part-00000-of-00002.safetensors") | load_file(url / "part-00001-of-00002.safetensors")
    expected = TENSORS | OTHERS | {"parameters.b": torch.full((4,), 5.0)}
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in expected.items()
    }
    weights = load_weights(str(tmp_path))
    assert weights.keys() == {"a", "b"}
    assert torch.equal(load_weights(str(url))["a"], TENSORS["parameters.a"])
    assert load_checkpoint(str(url)).state == RunState(step=5, tokens=50)


def test_without_its_manifest_a_checkpoint_is_not_there(tmp_path: Path) -> None:
    save(tmp_path, 5)
    begin(tmp_path, 6)  # and then the run was killed
    assert steps(tmp_path) == [5]
    assert next_attempt(str(tmp_path), 6) == 1  # the half-written path is never used again
    with pytest.raises(InputError, match="not a committed checkpoint"):
        load_checkpoint(checkpoint_url(str(tmp_path), 6, 0))


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("name", ["part-00001-of-00002.safetensors", "state.json"])
def test_damage_is_found_and_the_newest_intact_checkpoint_is_taken(damage: str, name: str, tmp_path: Path) -> None:
    save(tmp_path, 5)
    path = save(tmp_path, 6) / name
    if damage == "flip":
        flip_bit(path)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    ref, passed_over = newest_intact(str(tmp_path))
    assert ref is not None
    assert ref.step == 5
    assert len(passed_over) == 1
    assert str(path) in passed_over[0]
    assert checkpoint_damage(str(path.parent)) == passed_over[0]


def test_parts_are_read_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, read, both = save(tmp_path, 5), storage.read, Barrier(2)

    def read_when_both_are_asked_for(url: str) -> bytes:
        if "part-" in url:
            both.wait(timeout=30)
        return read(url)

    monkeypatch.setattr(storage, "read", read_when_both_are_asked_for)
    assert load_checkpoint(str(url)).tensors["parameters"].keys() == {"a", "b"}


def test_of_several_damaged_parts_the_first_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it is found last."""
    url, read, second_found = save(tmp_path, 5), storage.read, Event()
    for part in url.glob("part-*"):
        flip_bit(part)

    def read_in_reverse(url: str) -> bytes:
        if "part-00000" in url:
            second_found.wait(timeout=30)
        data = read(url)
        if "part-00001" in url:
            second_found.set()
        return data

    monkeypatch.setattr(storage, "read", read_in_reverse)
    with pytest.raises(InputError, match="part-00000-of-00002"):
        load_checkpoint(str(url))


def test_a_second_run_cannot_commit_over_the_first(tmp_path: Path) -> None:
    url = save(tmp_path, 5)
    before = bytes_of(url)
    with pytest.raises(InputError, match="two runs must not share a run URL"):
        write_checkpoint_part(str(url), 0, 2, OTHERS)
    with pytest.raises(InputError, match="two runs must not share a run URL"):
        commit_checkpoint(str(tmp_path), RunState(step=5), 0, [])
    assert bytes_of(url) == before


def test_order_is_by_step_and_never_by_time(tmp_path: Path) -> None:
    for step in (1_000_000, 2, 30):
        save(tmp_path, step)
    os.utime(tmp_path / "checkpoints" / "step-000002" / "MANIFEST.json", (2e9, 2e9))
    save(tmp_path, 30, attempt=1)
    assert steps(tmp_path) == [2, 30, 30, 1_000_000]
    assert list_checkpoints(str(tmp_path))[2].url.endswith("step-000030-r1")


def test_a_run_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no intact checkpoint"):
        load_weights(str(tmp_path))
