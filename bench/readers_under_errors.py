"""Eight readers of a bucket of whose requests 30 % are answered 503, beside the same undisturbed: steps a second.

    python bench/readers_under_errors.py

Each reader is a process with a cache of its own, as on eight nodes. It reads the batches of a run in their order, and
has the shards of 32 steps ahead fetched, as training does. "Training": each step takes half a second besides, which is
quick for steps of 131,072 tokens on one GPU; "reading alone": no time at all, so that every pause of a retry shows. The
bucket is moto's on this machine, behind a proxy; both ways take turns, twice.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.faulty_proxy import FaultyProxy, faulty_network
from support.s3 import moto_bucket

from hdna import storage
from hdna.config import Stage
from hdna.data.cache import ShardCache
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.stream import WindowReader
from hdna.genome.shard_set import load_shard_set
from hdna.train.loop import PREFETCHED_STEPS
from hdna_prep import shards
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

READERS, STEPS, BATCH, CONTEXT = 8, 60, 32, 4096
TIMES, SHARE = 2, 0.3


def prepare(folder: Path) -> None:
    """A set of some thirty shards, 1 MB each."""
    shards._SHARD_BASES = 1 << 20
    write_genome(folder / "genome.fa", 40_000_000, contigs=4, seed=2222)
    encode_genome([str(folder / "genome.fa")], str(folder / "store.zarr"))
    write_shards([str(folder / "store.zarr")], str(folder / "shards"), window=1 << 16)


def read(url: str, cache: str, step_s: float, ready: Barrier) -> None:
    """All steps, in this process, once all are ready."""
    ready.wait()
    stage = Stage(context_length=CONTEXT, until_tokens=STEPS * BATCH * CONTEXT)
    reader = WindowReader([load_shard_set(url)], "train", ShardCache(Path(cache)))
    order = DataOrder(reader.tables, Curriculum([stage], BATCH * CONTEXT), 2222, [], True)
    for step in range(PREFETCHED_STEPS):
        reader.prefetch(order.batch(step))
    for step in range(STEPS):
        if step + PREFETCHED_STEPS < STEPS:
            reader.prefetch(order.batch(step + PREFETCHED_STEPS))
        reader.read_batch(order.batch(step), CONTEXT)
        time.sleep(step_s)


def steps_per_second(url: str, step_s: float) -> float:
    """Of all readers together, from their imports' end to the last one's end."""
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit the bucket's client without its threads
    ready = spawn.Barrier(READERS + 1)
    with tempfile.TemporaryDirectory() as caches:
        made = [
            spawn.Process(target=read, args=(url, f"{caches}/{number}", step_s, ready)) for number in range(READERS)
        ]
        for process in made:
            process.start()
        ready.wait()
        began = time.perf_counter()
        for process in made:
            process.join()
        assert all(process.exitcode == 0 for process in made)
        return READERS * STEPS / (time.perf_counter() - began)


def measured(proxy: FaultyProxy, url: str, step_s: float) -> tuple[float, float]:
    """Undisturbed, and with errors."""
    rates: dict[float, list[float]] = {0.0: [], SHARE: []}
    for time_ in range(TIMES):
        for share, found in rates.items():
            proxy.plan_share("503", share, seed=time_)
            found.append(steps_per_second(url, step_s))
    proxy.forget()
    return median(rates[0.0]), median(rates[SHARE])


def main() -> None:
    """A row for each pace."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"{os.cpu_count()} cores, {READERS} readers, {STEPS} steps of {BATCH} x {CONTEXT} bases each")
    print(f"{'':16}{'undisturbed':>14}{'30 % 503':>12}{'ratio':>8}   steps a second, all readers; requests refused")
    with tempfile.TemporaryDirectory(prefix="hdna-readers-") as folder, moto_bucket() as bucket:
        prepare(Path(folder))
        for path in sorted(Path(folder, "shards").iterdir()):
            storage.upload(path, f"{bucket}/shards/{path.name}")
        with faulty_network() as proxy:
            for name, step_s in (("training", 0.5), ("reading alone", 0.0)):
                before = proxy.faults, len(proxy.requests)
                good, bad = measured(proxy, f"{bucket}/shards", step_s)
                refused, asked = proxy.faults - before[0], len(proxy.requests) - before[1]
                print(f"{name:16}{good:14.1f}{bad:12.1f}{bad / good:8.2f}   {refused} of {asked}", flush=True)


if __name__ == "__main__":
    main()
