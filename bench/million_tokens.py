"""One optimizer step of 1,048,576 tokens, in one process and shared by several: memory and time.

Two layers, width 128, fp32, activation checkpointing, real sequence from a FASTA file. The step is training's own
(DeepSpeed ZeRO 1: forward, backward, update), one sample, a process's first step. Each row runs in its own processes,
connected by gloo on loopback, with one torch thread each. Memory is each process's peak resident size, including about
half a GiB of libraries. The losses must agree.

Example: python bench/million_tokens.py chr2.fa.gz --ranks 1 2
"""

import argparse
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of a bench

from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.stream import WindowReader
from hdna.genome import GenomeStore
from hdna.genome.shard_set import load_shard_set
from hdna.model import HyenaDNA
from hdna.parallel import Mesh, shard_sequence
from hdna.train.engine import Engine
from hdna.train.step import optimizer_step, share_of_step
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

CONTEXT = 2**20
MMAP_THRESHOLD = 2**20
"""Bytes above which glibc returns freed memory to the system. By default the threshold rises to 32 MiB, and smaller
freed tensors stay in a fragmented heap."""
RECIPE = """
run: {{url: unused}}
model: {{d_model: 128, n_layer: 2, l_max: {context}}}
data: {{shards: [{shards}]}}
curriculum:
  - {{context_length: {context}, until_tokens: {context}, micro_batch_size: 1, sequence_parallel: {ranks}}}
optim: {{global_batch_tokens: {context}}}
parallel: {{workers: {ranks}, zero_stage: 1, precision: fp32, long_conv: {long_conv}, activation_checkpointing: true}}
"""


def main() -> None:
    """Prepare the data once, then run each number of ranks and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", help="a FASTA file with a contig of more than CONTEXT bases")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], help="processes that share the sample")
    parser.add_argument("--context", type=int, default=CONTEXT, help=f"tokens of the sample (default {CONTEXT})")
    parser.add_argument("--long-conv", default="all_to_all", choices=["all_to_all", "distributed_fft"])
    args = parser.parse_args()
    print(
        f"torch {torch.__version__}, CPU {platform.machine()}, 1 thread a process, fp32, "
        f"{' '.join(platform.libc_ver())}, MALLOC_MMAP_THRESHOLD_={MMAP_THRESHOLD}, {args.long_conv}, "
        f"one step of {args.context:,} tokens"
    )
    print(f"{'P':>3} {'seconds':>8} {'GiB of each rank':>24} {'GiB total':>11} {'loss':>12}")
    with tempfile.TemporaryDirectory(prefix="hdna-million-") as folder:
        shards = prepare(args.fasta, Path(folder), args.context)
        for ranks in args.ranks:
            recipe = RECIPE.format(context=args.context, shards=shards, ranks=ranks, long_conv=args.long_conv)
            results = run(recipe, ranks)
            memory = [result["gib"] for result in results]
            seconds = max(result["seconds"] for result in results)
            each = " ".join(f"{gib:.2f}" for gib in memory)
            print(f"{ranks:3d} {seconds:8.1f} {each:>24} {sum(memory):11.2f} {results[0]['loss']:12.8f}", flush=True)


def prepare(fasta: str, folder: Path, context: int) -> Path:
    """Make a store and an all-train shard set."""
    store = folder / "store.zarr"
    encode_genome([fasta], str(store))
    contigs = GenomeStore.open(str(store)).contigs
    (folder / "all.bed").write_text("".join(f"{name}\t0\t{length}\ttrain\n" for name, length in contigs.items()))
    write_shards([str(store)], str(folder / "shards"), str(folder / "all.bed"), "contig", context + 1)
    return folder / "shards"


def run(recipe: str, ranks: int) -> list[dict[str, float]]:
    """Run one step on that many processes; return what each measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1"}
    settings["MALLOC_MMAP_THRESHOLD_"] = str(MMAP_THRESHOLD)
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--as-rank", recipe],
            env={**os.environ, **settings, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]


def rank_step(config: RunConfig) -> dict[str, float]:
    """Run the step on one rank."""
    curriculum = Curriculum.of(config)
    windows = WindowReader([load_shard_set(url) for url in config.data.shards], "train", ShardCache())
    crops = DataOrder(windows.tables, curriculum, config.run.seed).batch(0)
    torch.manual_seed(config.run.seed)
    model = HyenaDNA(config.model)
    model.backbone.activation_checkpointing = config.parallel.activation_checkpointing
    engine = Engine(model, config, torch.device("cpu"))
    stage = curriculum.stage(0)
    mesh = Mesh.of_this_process(stage.sequence_parallel)
    shard_sequence(model, mesh, config.parallel.long_conv)
    batch = share_of_step(Collator(windows.read_batch, config.data, config.run.seed), 0, stage, crops, mesh)
    dist.barrier()
    began = time.perf_counter()
    result = optimizer_step(engine, mesh, batch, learning_rate=1e-3)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "gib": peak / 2**30, "loss": result.loss}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-rank"]:
        torch.set_num_threads(1)
        dist.init_process_group("gloo")
        print(json.dumps(rank_step(parse_recipe(sys.argv[2], "bench/million_tokens.py"))))
        dist.destroy_process_group()
    else:
        main()
