"""What a rank pays to open a shard set and to find a step in it: of 10^8 windows in 10^5 shards, and of fewer.

    python bench/large_set.py [--shards 100000] [--folder FOLDER]

Only the manifest and the index exist, and all shards have the same windows: the shards' bytes are never asked for. Each
row is a process of its own: seconds to load the set and make its train reader; seconds to the crops of a step and
the places of their windows; the process's peak of memory, less what it has after its imports. The files are in the
page cache. Then the candidates for a part of the index, of one shard's windows.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from hdna.config import Stage
from hdna.data.cache import ShardCache
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.stream import WindowReader
from hdna.genome.sample_parts import IndexedShard, part_bytes
from hdna.genome.shard import SampleEntry, ShardEntry
from hdna.genome.shard_layout import COUNTED, SplitTotals
from hdna.genome.shard_set import FORMAT, Dropped, Provenance, load_shard_set, manifest_body
from hdna.genome.window_lengths import LENGTHS, lengths_bytes, lengths_of
from hdna.storage.manifest import FileEntry, describe_bytes, put_manifest

WINDOW, PER_SHARD, SHORT = 100_000, 1_000, 0.3
"""Bases, windows of a shard, and the part of them that ends at a contig's end."""
INLINE = (10, 30, 100, 300)
"""Shards of the ordinary sets."""
CONTEXT, SAMPLES, STEP = 1024, 1024, 777_777
PROVENANCE = Provenance([], "", {"rule": "hash"}, Dropped(0, ""), "")
Times = dict[str, float]


def windows(shard: int) -> list[SampleEntry]:
    """A shard's samples: on contigs that no other shard has."""
    rng = np.random.default_rng(0)
    lengths = np.where(rng.random(PER_SHARD) < SHORT, rng.integers(2, WINDOW, PER_SHARD), WINDOW + 1).tolist()
    checksums = rng.integers(0, 1 << 32, (PER_SHARD, 2)).tolist()
    samples, place = [], 0
    for number, length in enumerate(lengths):
        key, contig = f"w{shard * PER_SHARD + number:09d}", f"NW_{shard:06d}{number:04d}.1"
        tokens, mask = checksums[number]
        places = (place + 1664, tokens, place + length + 3328, mask)
        samples.append(SampleEntry(key, "GCF_000001405.40", contig, 0, length, *places))
        place += 2 * length + 6144
    return samples


def write_set(folder: Path, shards: int, indexed: bool) -> None:
    """A set of train windows without its tars."""
    folder.mkdir()
    common = windows(0)
    size, bases = 4 * WINDOW * PER_SHARD, sum(sample.end for sample in common)
    entries: list[ShardEntry | IndexedShard] = []
    files: dict[str, FileEntry] = {}
    for number in range(shards):
        url, sha256 = f"train-{number:06d}.tar", f"{number:064x}"
        files[url] = FileEntry(size, sha256)
        if indexed:
            entries.append(listed := IndexedShard(url, size, sha256, "train", bases, PER_SHARD))
            files[listed.part] = describe_bytes(part_bytes(common)) if number == 0 else files["train-000000.json"]
            (folder / listed.part).symlink_to(folder / "part.json")
        else:
            entries.append(ShardEntry(url, size, sha256, "train", bases, windows(number)))
    if indexed:
        (folder / "part.json").write_bytes(part_bytes(common))
        (folder / LENGTHS).write_bytes(data := lengths_bytes([lengths_of(common)] * shards))
        files[LENGTHS] = describe_bytes(data)
    counts = dict.fromkeys(COUNTED, 0) | {"A": shards * bases}
    totals = {"train": SplitTotals(shards * PER_SHARD, shards * bases, counts)}
    put_manifest(str(folder), FORMAT, manifest_body(WINDOW, entries, totals, PROVENANCE), files)


def measure(folder: str) -> Times:
    """In this process."""
    before, began = peak_mb(), time.perf_counter()
    reader = WindowReader([load_shard_set(folder)], "train", ShardCache())
    opened = time.perf_counter()
    order = DataOrder(reader.tables, Curriculum([Stage(CONTEXT, CONTEXT * SAMPLES * 10**6)], CONTEXT * SAMPLES), 1)
    for window in order.batch(STEP).window.tolist():
        reader.bases(window)
    found = time.perf_counter()
    order.batch(STEP + 1)
    return {
        "windows": len(reader),
        "manifest MB": (Path(folder) / "manifest.json").stat().st_size / 1e6,
        "open s": opened - began,
        "step s": found - opened,
        "next step s": time.perf_counter() - found,
        "peak MB": peak_mb() - before,
    }


def peak_mb() -> float:
    """Of this process."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e3


def formats(samples: list[SampleEntry]) -> dict[str, tuple[int, Callable[[], object]]]:
    """Bytes of a shard's samples, and how to read them into what checks them, or into arrays."""
    columns = {name: [vars(sample)[name] for sample in samples] for name in vars(samples[0])}
    text, table, chunks = part_bytes(samples), io.BytesIO(), dict[str, zarr.core.buffer.Buffer]()
    pq.write_table(pa.table(columns), table)
    group = zarr.create_group(zarr.storage.MemoryStore(chunks), zarr_format=3)
    numbers = {name: np.array(values) for name, values in columns.items() if isinstance(values[0], int)}
    for name, values in {**numbers, "key": np.arange(len(samples)), "contig": np.arange(len(samples))}.items():
        group.create_array(name, data=values, chunks=values.shape)

    def read_zarr() -> object:
        opened = zarr.open_group(zarr.storage.MemoryStore(chunks), mode="r")
        return [np.asarray(array[:]) for _, array in opened.arrays()]

    return {
        "JSON, to objects": (len(text), lambda: msgspec.json.decode(text, type=list[SampleEntry])),
        "Parquet, to objects": (table.tell(), lambda: [SampleEntry(**row) for row in pq.read_table(table).to_pylist()]),
        "Parquet, to arrays": (table.tell(), lambda: [c.to_numpy() for c in pq.read_table(table).columns]),
        "Zarr, to arrays": (sum(len(chunk.to_bytes()) for chunk in chunks.values()), read_zarr),
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=100_000, help=f"of the large set, {PER_SHARD} windows each")
    parser.add_argument("--folder", type=Path, help="where the sets are made; by default a temporary folder")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as root:
        for shards, indexed in [*((n, False) for n in INLINE), *((n, True) for n in (*INLINE, args.shards))]:
            folder = Path(root) / f"{shards}-{indexed}"
            write_set(folder, shards, indexed)
            command = [sys.executable, __file__, "--measure", str(folder)]
            row: Times = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            figures = ", ".join(f"{name} {value:,.2f}" for name, value in row.items())
            print(f"{'indexed' if indexed else 'inline ':8} {figures}", flush=True)
    for name, (size, read) in formats(windows(0)).items():
        times = []
        for _ in range(20):
            began = time.perf_counter()
            read()
            times.append(time.perf_counter() - began)
        print(f"{name:20} {size:9,} bytes {1e3 * min(times):7.2f} ms")


if __name__ == "__main__":
    main()
