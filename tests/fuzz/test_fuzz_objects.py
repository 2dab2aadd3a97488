"""Stores, shard sets and checkpoints with one thing changed: refused in one line, or with the meaning they had.

`make fuzz` runs a thousand changes at each door and prints the table; the tests a part of them, of the same seed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.binary_changes import chunk_change, npy_field_change, safetensors_field_change, tar_field_change
from support.fuzz_doors import checkpoint_door, run_door, shards_door, store_door, write_resealed
from support.fuzzing import HEADER, TRIALS, Change, Door, bit_flip, field_change, try_changes

TABLE: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Print the figures at the end."""
    yield
    print("\n" + "\n".join([HEADER, *TABLE]))


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Door]:
    folder = tmp_path_factory.mktemp("fuzz")
    store = store_door(folder)
    shards = shards_door(folder, folder / "g.zarr")
    checkpoint = checkpoint_door(folder)
    return {"store": store, "shards": shards, "checkpoint": checkpoint, "run": run_door(folder)}


def settle(name: str, door: Door, change: Change) -> None:
    tally = try_changes(name, door, change, TRIALS)
    TABLE.append(tally.row())
    assert tally.findings == []


@pytest.mark.parametrize(
    ("door", "files"),
    [
        ("store", "chunk"),
        ("store", "json"),
        ("shards", ".tar"),
        ("shards", "manifest.json"),
        ("checkpoint", ".safetensors"),
        ("checkpoint", "state.json"),
        ("checkpoint", "MANIFEST.json"),
        ("run", ""),
    ],
)
def test_a_flipped_bit_is_refused_or_makes_no_difference(door: str, files: str, doors: dict[str, Door]) -> None:
    def is_chosen(path: Path) -> bool:
        return "/c/" in str(path) if files == "chunk" else path.name.endswith(files)

    chosen = sorted(path for path in doors[door].root.rglob("*") if path.is_file() and is_chosen(path))
    settle(f"{door} {files}".strip() + ": one bit", doors[door], bit_flip(chosen))


@pytest.mark.parametrize("door", ["store", "shards", "checkpoint"])
def test_a_changed_field_is_refused_or_makes_no_difference_even_with_every_checksum_right(
    door: str, doors: dict[str, Door]
) -> None:
    root = doors[door].root
    manifest = root / ("MANIFEST.json" if door == "checkpoint" else "manifest.json")
    documents = sorted(path for path in root.rglob("*") if path.name.endswith(".json"))
    settle(f"{door}: one field", doors[door], field_change(documents, write_resealed(manifest)))


@pytest.mark.parametrize(
    ("door", "header", "change"),
    [
        ("shards", "tar", tar_field_change),
        ("shards", ".npy", npy_field_change),
        ("checkpoint", "safetensors", safetensors_field_change),
    ],
)
def test_a_changed_header_is_refused_or_makes_no_difference_even_with_every_checksum_right(
    door: str, header: str, change: Callable[[Path], Change], doors: dict[str, Door]
) -> None:
    settle(f"{door}: one field of a {header} header", doors[door], change(doors[door].root))


def test_a_changed_chunk_is_refused_or_makes_another_genome_when_every_checksum_is_right(
    doors: dict[str, Door],
) -> None:
    settle("store: bytes of a chunk", doors["store"], chunk_change(doors["store"].root))
