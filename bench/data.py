"""The data path beside what it replaces: reading, storing, preparing, resuming, and waiting during training.

Reading: windows ready for the model, reverse complement on, one thread, warm page cache, full path (order, copy,
strand, micro-batches). `bytes`: the uint8 micro-batches that go to the device; `widened` adds the int64 inputs and
targets and fp32 weights made from them there, here on the CPU. The other side is the reference's HG38Dataset, given by
path, or a stand-in for it; the floor is a plain copy of the same bytes, and one through a table. Each figure is the
best of interleaved rounds, so that a busy machine slows all alike.

Example: python bench/data.py hg38_chr20.fa --reference hyena-dna/src/dataloaders/datasets/hg38_dataset.py
"""

import argparse
import gzip
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hg38_dataset import Read, intervals, reference, stand_in
from prep_parts import parts

from hdna.config import DataConfig, Stage
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator, StepBatch
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder, WindowTable
from hdna.data.stream import WindowReader
from hdna.errors import InputError
from hdna.genome import GenomeStore
from hdna.genome.shard_set import load_shard_set
from hdna.run.files import read_metrics
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

CONTEXTS = (1024, 32768, 131072)
STEP_TOKENS, MICRO_BATCH_TOKENS = 1 << 20, 1 << 16
ROUNDS, ROUND_SECONDS = 5, 0.2
SYNTHETIC_BASES = 8_000_000
CONTIGS, MADE_UP_BASES = 100_000, 100_000_000
HG38_BASES = 3.1e9
CROPS = 10_000_000


def main() -> None:
    """Print the conditions, then a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", nargs="*", type=Path, help="FASTA files (default: a synthetic genome)")
    parser.add_argument("--reference", type=Path, help="path to the reference's hg38_dataset.py")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, numpy {np.__version__}, CPU {platform.machine()}, 1 thread")
    with tempfile.TemporaryDirectory(prefix="hdna-data-") as name:
        folder = Path(name)
        fastas = [plain(fasta, folder) for fasta in args.fasta] or [synthetic(folder)]
        prepare(fastas, folder)
        print()
        for contigs in (1, CONTIGS):
            made_up(folder, contigs, MADE_UP_BASES // contigs)
        for fasta in fastas:
            compare_reading(fasta, folder / fasta.stem / "shards", args.reference)
        resume()
        training(folder / fastas[0].stem / "shards", folder)


def plain(fasta: Path, folder: Path) -> Path:
    """An uncompressed copy, as the reference needs."""
    copy = folder / (fasta.name.removesuffix(".gz").rsplit(".", 1)[0] + ".fa")
    with gzip.open(fasta) if fasta.suffix == ".gz" else fasta.open("rb") as file:
        copy.write_bytes(file.read())
    return copy


def synthetic(folder: Path) -> Path:
    """A synthetic genome of four contigs."""
    write_genome(folder / "synthetic.fa", SYNTHETIC_BASES, contigs=4, seed=2222)
    return folder / "synthetic.fa"


def prepare(fastas: list[Path], folder: Path) -> None:
    """Make a store and an all-train shard set of each FASTA; print their sizes and cost."""
    print("\nStore and shards: stored bits a base; FASTA to store in its own process, its CPU time and peak memory")
    print(f"{'genome':>36} {'bases':>11} {'arrays':>7} {'JSON':>6} {'shards':>7} {'Mb/s/core':>10} {'MiB':>5}")
    for fasta in fastas:
        out = folder / fasta.stem
        made = encoded(fasta, out / "store.zarr")
        bases, rate = made["bases"], made["bases"] / made["seconds"]
        contigs = GenomeStore.open(str(out / "store.zarr")).contigs
        (out / "all.bed").write_text("".join(f"{name}\t0\t{length}\ttrain\n" for name, length in contigs.items()))
        write_shards([str(out / "store.zarr")], str(out / "shards"), str(out / "all.bed"))
        tars = sum(tar.stat().st_size for tar in (out / "shards").glob("*.tar"))
        json_bytes = sum(path.stat().st_size for path in (out / "store.zarr").rglob("*.json"))
        print(
            f"{fasta.stem:>36} {bases:11,.0f} {8 * made['array_bytes'] / bases:7.3f} {8 * json_bytes / bases:6.3f} "
            f"{8 * tars / bases:7.3f} {rate / 1e6:10.1f} {made['peak'] / 2**20:5.0f}",
            flush=True,
        )


def made_up(folder: Path, contigs: int, bases: int) -> None:
    """An assembly of random letters in lines of 50, with every other thousand bases soft-masked."""
    random = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)[random.integers(0, 4, (contigs, bases // 50, 50), dtype=np.uint8)]
    letters[:, np.arange(bases // 50) // 20 % 2 == 1] |= 0x20
    fasta, store = folder / f"made_up_{contigs}.fa", folder / f"made_up_{contigs}.zarr"
    with fasta.open("wb") as file:
        for number, lines in enumerate(letters):
            newlines = np.full((len(lines), 1), ord("\n"), np.uint8)
            file.write(b">contig_%06d\n%s" % (number, np.hstack([lines, newlines]).tobytes()))
    made = encoded(fasta, store)
    opened, rate = best(lambda: GenomeStore.open(str(store)), rounds=3), made["bases"] / made["seconds"]
    print(
        f"{contigs:,} random contigs of {bases:,} bases: {8 * made['array_bytes'] / made['bases']:.3f} stored bits a "
        f"base, opened in {1e3 * opened:.0f} ms, made at {rate / 1e6:.0f} Mb/s per core in {made['peak'] / 2**20:.0f} "
        f"MiB: 3.1 Gb in {HG38_BASES / rate:.0f} s",
        flush=True,
    )
    if contigs == 1:
        print("  by part, Mb/s per core: " + ", ".join(f"{name} {r / 1e6:.0f}" for name, r in parts(fasta).items()))


def encoded(fasta: Path, store: Path) -> dict[str, float]:
    """Make a store in a new process; return bases, array bytes, CPU seconds of encoding, peak memory in bytes."""
    store.parent.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--encode", str(fasta), str(store)]
    measured: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return measured


def encode(fasta: str, store: str) -> None:
    """The body of that process."""
    began = time.process_time()
    summary = encode_genome([fasta], store)
    seconds = time.process_time() - began
    status = Path("/proc/self/status").read_text()  # getrusage's peak is inherited from the parent process
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    print(json.dumps({"bases": summary.bases, "array_bytes": summary.array_bytes, "seconds": seconds, "peak": peak}))


def compare_reading(fasta: Path, shards: Path, reference_file: Path | None) -> None:
    """Print million tokens per second of ours, the other side and the floor."""
    other_name = "HG38Dataset" if reference_file else "stand-in"
    print(f"\nReading {fasta.stem}: million tokens/s ('stand-in': HG38Dataset's steps without its libraries)")
    print(
        f"{'context':>8} {'windows/s':>10} {'bytes':>7} {'widened':>8} {other_name:>12} {'ratios':>19} "
        f"{'copy':>7} {'table':>6}"
    )
    store = GenomeStore.open(str(shards.with_name("store.zarr")))
    for context in CONTEXTS:
        places = intervals(store.contigs, context)
        try:
            step, widened = ours(shards, context)
        except InputError:
            places = []
        if not places:
            print(f"{context:8d} no contig is long enough")
            continue
        other = (
            reference(reference_file, fasta, places, context) if reference_file else stand_in(fasta, places, context)
        )
        copy, table = floor(context)
        runs = [
            (step, STEP_TOKENS),
            (widened, STEP_TOKENS),
            (turns(other), context),
            (copy, STEP_TOKENS),
            (table, STEP_TOKENS),
        ]
        seconds = [float("inf")] * len(runs)
        for _ in range(ROUNDS):
            seconds = [min(s, best(run, rounds=1)) for s, (run, _) in zip(seconds, runs, strict=True)]
        b, w, o, c, t = [tokens / s / 1e6 for s, (_, tokens) in zip(seconds, runs, strict=True)]
        print(
            f"{context:8d} {1e6 * b / context:10,.0f} {b:7.0f} {w:8.0f} {o:12.2f} {b / o:7.0f}x {w / o:9.0f}x "
            f"{c:7.0f} {t:6.0f}",
            flush=True,
        )


def ours(shards: Path, context: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Functions that read one step of STEP_TOKENS tokens after another, the second widening it too."""
    reader = WindowReader([load_shard_set(str(shards))], "train", ShardCache())
    stage = Stage(context, STEP_TOKENS * 10**6, max(1, MICRO_BATCH_TOKENS // context))
    curriculum = Curriculum([stage], STEP_TOKENS)
    order = DataOrder(reader.tables, curriculum, seed=1)
    collator = Collator(reader.read_batch, DataConfig(shards=[str(shards)]), seed=1)
    steps = iter(range(curriculum.steps))

    def step() -> StepBatch:
        number = next(steps)
        return collator.step_batch(number, curriculum.stage(number), order.batch(number), 0, 1, slice(0, context))

    def widened() -> None:
        for batch in step().micro_batches:
            _ = batch.input_ids, batch.targets, batch.weights

    return step, widened


def turns(read: Read) -> Callable[[], object]:
    """Read window after window."""
    numbers = iter(range(10**9))
    return lambda: read(next(numbers))


def floor(context: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A plain copy of a step's bytes, and a copy through a table of 256 bytes."""
    tokens = np.random.default_rng(0).integers(7, 11, (STEP_TOKENS // context, context + 1), dtype=np.uint8)
    out, table = np.empty_like(tokens), np.arange(256, dtype=np.uint8)
    return lambda: np.copyto(out, tokens), lambda: np.take(table, tokens, out=out, mode="clip")


def best(run: Callable[[], object], rounds: int) -> float:
    """Lowest mean seconds per call, over rounds of at least ROUND_SECONDS, after a warm-up call."""
    run()
    found = float("inf")
    for _ in range(rounds):
        calls, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < ROUND_SECONDS or not calls:
            run()
            calls += 1
        found = min(found, passed / calls)
    return found


def resume() -> None:
    """Time from a bare step number to its batch, in a set of CROPS crops."""
    bases = np.full(CROPS // 1024, 2**20 + 1)
    table = WindowTable(bases, np.arange(len(bases)) // 64)
    curriculum = Curriculum([Stage(1024, 1024 * 1024 * 10**6)], 1024 * 1024)

    def batch() -> None:
        DataOrder([table], curriculum, seed=1).batch(777_777)

    crops = int(((bases - 1) // 1024).sum())
    print(f"\nResume: {1e3 * best(batch, rounds=3):.0f} ms to the batch of step 777,777 in a set of {crops:,} crops")


def training(shards: Path, folder: Path) -> None:
    """A short quickstart run in one process: the share of time spent waiting for data."""
    run = folder / "run"
    overrides = [f"data.shards=[{shards}]", f"run.url={run}", "curriculum.0.until_tokens=245760"]
    overrides += ["curriculum.1.until_tokens=491520", "evaluate.every_steps=1000", "checkpoint.every_steps=1000"]
    command = [sys.executable, __file__, "--train", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"\nTraining: not measured: {done.stderr.strip().splitlines()[-1]}")
        return
    records = read_metrics(str(run))
    tokens = records[0].tokens
    seconds, waited = [], []
    for record in records:
        assert record.tokens_per_second is not None and record.data_wait_fraction is not None
        seconds.append(tokens / record.tokens_per_second)
        waited.append(record.data_wait_fraction * seconds[-1])
    most = max(w / s for w, s in zip(waited[1:], seconds[1:], strict=True))
    print(
        f"\nTraining (quickstart, {len(records)} steps of {tokens:,} tokens, one process): waited for data "
        f"{100 * sum(waited[1:]) / sum(seconds[1:]):.3f} % of the time after the first step, at most {100 * most:.2f} "
        f"% of a step; {1e3 * waited[0]:.0f} ms before the first, in which shards are checked"
    )


def train_here(overrides: list[str]) -> None:
    """The body of that process."""
    import os

    import torch.distributed as dist  # noqa: TID251 - the ranks of a bench

    from hdna.config import load_recipe
    from hdna.train.loop import train

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        train(load_recipe("quickstart", overrides), torch.device("cpu"), lambda event: None)
        dist.destroy_process_group()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--encode"]:
        encode(*sys.argv[2:])
    elif sys.argv[1:2] == ["--train"]:
        torch.set_num_threads(1)
        train_here(sys.argv[2:])
    else:
        main()
