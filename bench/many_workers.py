"""The control path of a run with many workers, on one machine: a tiny model, so that what is left is not arithmetic.

Each worker is a process with one thread, connected to the others by gloo on loopback: the whole of training (resume,
order, DeepSpeed ZeRO 1, two sequence-parallel degrees, evaluation, checkpoints), without Ray. With more workers than
cores, step times are those of processes that take turns. Start-up is up to the end of the first step (in the first row
with imports, which the others share), a save from the end of its step to its commit; descriptors are the first rank's
open files and sockets. The losses must agree.

Example: python bench/many_workers.py --workers 1 16
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of a bench

from hdna.config.recipe import parse_recipe
from hdna.run.events import CheckpointSaved, Event, StepDone
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

PRELOADED = ["hdna.train.loop", "deepspeed", "deepspeed.runtime.zero.muon.muon_optimizer", "webdataset.tariterators"]
"""Imported once, before the workers are forked."""
RECIPE = """
run: {{url: {folder}/run-{workers}}}
model: {{d_model: 16, n_layer: 2, l_max: 1024, filter_order: 16, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum:
  - {{context_length: 256, until_tokens: 245760, micro_batch_size: 2}}
  - {{context_length: 1024, until_tokens: 491520, micro_batch_size: 1, sequence_parallel: {shared}}}
optim: {{learning_rate: 1e-3, global_batch_tokens: 16384}}
parallel: {{workers: {workers}, precision: fp32}}
checkpoint: {{every_steps: 5}}
evaluate: {{every_steps: 10, max_bases: 20000}}
"""


class Times:
    """Hears what the first rank reports."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._done: dict[int, float] = {}
        self.start_up, self.loss = 0.0, 0.0
        self.steps: list[float] = []
        self.saves: list[float] = []

    def hear(self, event: Event) -> None:
        """Note when it happened."""
        now = time.time()
        if isinstance(event, CheckpointSaved):
            self.saves.append(now - self._done[event.step])
        elif isinstance(event, StepDone):
            self._done[event.record.step] = now
            self.loss = event.record.loss or 0.0
            if event.record.step == 1:
                self.start_up = now - self._started
            else:
                self.steps.append(event.record.seconds or 0.0)


def main() -> None:
    """Prepare the data once, then run each number of workers and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 16], help="processes of each run")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, 30 steps, 6 saves")
    print(f"{'workers':>7} {'start-up s':>10} {'step s':>8} {'save s':>8} {'descriptors':>11} {'loss':>10}")
    with tempfile.TemporaryDirectory(prefix="hdna-many-") as folder:
        prepare(Path(folder))
        for workers in args.workers:
            recipe = RECIPE.format(folder=folder, workers=workers, shared=min(workers, 4))
            print(row(run(Path(folder), recipe, workers)), flush=True)


def prepare(folder: Path) -> None:
    """Make a synthetic genome, its store and its shards."""
    write_genome(folder / "genome.fa", 1_000_000, contigs=2)
    encode_genome([str(folder / "genome.fa")], str(folder / "store.zarr"))
    write_shards([str(folder / "store.zarr")], str(folder / "shards"), None, "hash", 8192)


def run(folder: Path, recipe: str, workers: int) -> dict[str, float]:
    """Run a recipe to its end on that many processes; return what the first one measured."""
    os.environ.update(DS_ACCELERATOR="cpu", OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo", PYTHONWARNINGS="ignore")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    settings = (folder, recipe, workers, time.time())
    processes = [context.Process(target=work, args=(rank, *settings)) for rank in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if failed := [rank for rank, process in enumerate(processes) if process.exitcode]:
        raise SystemExit(f"ranks {failed} failed")
    found: dict[str, float] = json.loads((folder / f"{workers}.json").read_text())
    return found


def work(rank: int, folder: Path, recipe: str, workers: int, started: float) -> None:
    """One worker."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(workers))
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{workers}", rank=rank, world_size=workers)
    times = Times(started)
    train(parse_recipe(recipe, "bench/many_workers.py"), torch.device("cpu"), times.hear)
    if rank == 0:
        measured = {
            "workers": workers,
            "start_up": times.start_up,
            "step": statistics.median(times.steps),
            "save": statistics.median(times.saves),
            "descriptors": len(list(Path("/proc/self/fd").iterdir())),
            "loss": times.loss,
        }
        (folder / f"{workers}.json").write_text(json.dumps(measured))
    dist.destroy_process_group()


def row(measured: dict[str, float]) -> str:
    """One line of the table."""
    start_up, step, save = (measured[name] for name in ("start_up", "step", "save"))
    end = f"{measured['descriptors']:11.0f} {measured['loss']:10.6f}"
    return f"{measured['workers']:7.0f} {start_up:10.1f} {step:8.3f} {save:8.3f} {end}"


if __name__ == "__main__":
    main()
