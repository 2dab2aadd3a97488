"""What stays behind of a thousand saves and resumes in one process: memory, open files and threads.

    python bench/save_resume_cycles.py [--cycles 1000]

Each cycle is all of training, told to stop after its first step: it loads the newest checkpoint, restores model,
optimizer and data order, makes a step, saves, prunes and ends. A tiny model, one rank, a folder; the process groups are
made once. Memory is the process's resident set after a garbage collection; the growth is a straight line's through all
rows but the first two.
"""

import argparse
import gc
import os
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist  # noqa: TID251 - the rank of a bench

from hdna.config.recipe import parse_recipe
from hdna.parallel import Mesh
from hdna.train import loop
from hdna.train.assemble import begun_engine
from hdna.train.engine import Engine
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

ROWS = 10
RECIPE = """
run: {{url: {folder}/run}}
model: {{d_model: 16, n_layer: 2, l_max: 256, filter_order: 16, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: 256, until_tokens: {tokens}, micro_batch_size: 2}}]
optim: {{learning_rate: 1e-3, global_batch_tokens: 512}}
parallel: {{precision: fp32}}
checkpoint: {{every_steps: 1}}
evaluate: {{every_steps: 1000000, max_bases: 1000}}
"""


def prepare(folder: Path) -> None:
    """A genome and its shards."""
    write_genome(folder / "genome.fa", 200_000, contigs=2)
    encode_genome([str(folder / "genome.fa")], str(folder / "store.zarr"))
    write_shards([str(folder / "store.zarr")], str(folder / "shards"), None, "hash", 4096)


def made_engines() -> list[Engine]:
    """Filled with each engine that training makes: DeepSpeed keeps it for the process's life, unless it is told."""
    engines: list[Engine] = []
    make = begun_engine

    def made(*arguments: Any) -> Engine:  # noqa: ANN401 - whatever training gives
        engines.append(make(*arguments))
        return engines[-1]

    vars(loop)["begun_engine"] = made
    return engines


def resident_mib() -> float:
    """Of this process, now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Print a row after each tenth of the cycles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=1000)
    cycles = parser.parse_args().cycles
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    sizes: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory(prefix="hdna-cycles-") as folder:
        prepare(Path(folder))
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        # Else each cycle would leave the sockets of its groups; in use, they end with the process.
        Mesh.of_this_process = cache(Mesh.of_this_process)  # type: ignore[method-assign]
        Mesh.beside_training = cache(Mesh.beside_training)  # type: ignore[method-assign]
        engines = made_engines()
        config = parse_recipe(RECIPE.format(folder=folder, tokens=512 * (cycles + 1)), "bench")
        print(f"{'cycles':>8}{'resident MiB':>14}{'open files':>12}{'threads':>9}")
        for cycle in range(1, cycles + 1):
            state = train(config, torch.device("cpu"), lambda event: None, lambda: True)
            assert state.step == cycle
            engines.pop()._deepspeed_engine.destroy()
            if cycle % (cycles // ROWS) == 0:
                sizes.append((cycle, resident_mib()))
                files = len(list(Path("/proc/self/fd").iterdir()))
                print(f"{cycle:8}{sizes[-1][1]:14.1f}{files:12}{threading.active_count():9}", flush=True)
    numbers, found = np.array(sizes[2:]).T
    print(f"growth: {np.polyfit(numbers, found, 1)[0] * 1024:.2f} KiB a cycle")


if __name__ == "__main__":
    main()
