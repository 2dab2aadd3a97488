"""What syncing to the disk costs: a checkpoint, a genome store and a shard set, with and without fsync.

    python bench/durability.py [FOLDER]

FOLDER lies on the disk to measure; by default the current directory. Ratios are of one run, interleaved.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch

from hdna.checkpoint import RunState, checkpoint_url, commit_checkpoint, write_checkpoint_part
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

REPEATS = 5
PARAMETERS = (436_096, 6_550_528)
"""Of tiny-1k and of the largest published model; a checkpoint holds three numbers of four bytes for each."""
BASES = 64_000_000


def save(elements: int, run: Path) -> None:
    """One checkpoint of one part."""
    tensors = {f"{kind}.w": torch.zeros(elements) for kind in ("parameters", "exp_avg", "exp_avg_sq")}
    entry = write_checkpoint_part(checkpoint_url(str(run), 1, 0), 0, 1, tensors)
    commit_checkpoint(str(run), RunState(step=1), 0, [entry])


def seconds(work: Callable[[Path], object], folder: Path) -> float:
    """Time of `work` in a new folder below `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        began = time.perf_counter()
        work(Path(place))
        return time.perf_counter() - began


def compare(name: str, work: Callable[[Path], object], folder: Path) -> None:
    """Print the medians with and without fsync."""
    real, times = os.fsync, {True: list[float](), False: list[float]()}
    for _ in range(REPEATS):
        for synced in (True, False):
            with patch.object(os, "fsync", real if synced else lambda descriptor: None):
                times[synced].append(seconds(work, folder))
    with_sync, without = (statistics.median(times[synced]) for synced in (True, False))
    print(f"{name:44} {with_sync:8.3f} s {without:8.3f} s {with_sync / without:6.2f}x")


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1] if sys.argv[1:] else ".")
    print(f"{'':44} {'synced':>10} {'not':>10} {'ratio':>7}")
    for elements in PARAMETERS:
        compare(f"checkpoint of {elements:,} parameters", partial(save, elements), folder)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        fasta, store = f"{made}/g.fa", f"{made}/g.zarr"
        write_genome(Path(fasta), BASES, seed=1)
        encode_genome([fasta], store)
        compare(f"store of {BASES:,} bases", lambda place: encode_genome([fasta], f"{place}/g.zarr"), folder)
        compare(f"shard set of {BASES:,} bases", lambda place: write_shards([store], f"{place}/set"), folder)


if __name__ == "__main__":
    main()
