"""Stores, shard sets and checkpoints with one thing changed: refused in one line, or with the meaning they had.

`make fuzz` runs a thousand changes at each door and prints the table; the tests a part of them, of the same seed.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fuzz_doors import checkpoint_door, run_door, shards_door, store_door, write_resealed
from support.fuzzing import HEADER, TRIALS, Door, Tally, change_fields, flip_bits

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


def settle(tally: Tally) -> None:
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
    def chosen(path: Path) -> bool:
        return "/c/" in str(path) if files == "chunk" else path.name.endswith(files)

    tally = flip_bits(doors[door], chosen, TRIALS)
    tally.name = f"{door} {files}: one bit"
    settle(tally)


@pytest.mark.parametrize("door", ["store", "shards", "checkpoint"])
def test_a_changed_field_is_refused_or_makes_no_difference_even_with_every_checksum_right(
    door: str, doors: dict[str, Door]
) -> None:
    root = doors[door].root
    manifest = root / ("MANIFEST.json" if door == "checkpoint" else "manifest.json")
    documents = sorted(path for path in root.rglob("*") if path.name.endswith(".json"))
    settle(change_fields(doors[door], documents, write_resealed(manifest), TRIALS))
