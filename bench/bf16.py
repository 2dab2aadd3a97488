"""bf16 beside fp32 over 2,000 steps of a small model on a CPU: valid bits per base at the end, within half a per cent.

The whole path but Ray, on a synthetic genome: store, shards, DeepSpeed, AdamW; the same batches in both.

Example: OMP_NUM_THREADS=2 python bench/bf16.py
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist  # noqa: TID251 - the rank of a bench

from hdna.benchmark.timing import conditions
from hdna.config.recipe import parse_recipe
from hdna.run.files import read_metrics
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

TOLERANCE = 0.005
TOKENS = 2048
RECIPE = """
run: {{url: {folder}/{precision}}}
model: {{d_model: 64, n_layer: 2, l_max: 512, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: 512, until_tokens: {tokens}, micro_batch_size: 4, sequence_parallel: 1}}]
optim: {{learning_rate: 1e-3, global_batch_tokens: 2048, warmup_fraction: 0.05, clip_norm: 0.3}}
parallel: {{workers: 1, zero_stage: 1, precision: {precision}}}
checkpoint: {{every_steps: 1000000}}
evaluate: {{every_steps: {every}, max_bases: 1e5}}
"""


def main() -> int:
    """Train in both; 1 if they end too far apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps of each (default 2,000)")
    args = parser.parse_args()
    print(conditions(torch.device("cpu")))
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}  # DeepSpeed asks for them
    ends = {}
    with TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        write_genome(Path(folder, "genome.fa"), 2_000_000, contigs=8)
        encode_genome([f"{folder}/genome.fa"], f"{folder}/genome.zarr")
        write_shards([f"{folder}/genome.zarr"], f"{folder}/shards", rule="contig", window=8192)
        for precision in ("fp32", "bf16"):
            text = RECIPE.format(
                folder=folder, precision=precision, tokens=args.steps * TOKENS, every=max(1, args.steps // 4)
            )
            train(parse_recipe(text, "bench/bf16.py"), torch.device("cpu"), lambda event: None)
            scores = [record.valid_bits_per_base for record in read_metrics(f"{folder}/{precision}")]
            evaluated = [score for score in scores if score is not None]
            ends[precision] = evaluated[-1]
            print(f"{precision}: {len(scores)} steps, valid bits per base {' '.join(f'{s:.5f}' for s in evaluated)}")
        dist.destroy_process_group()
    apart = abs(ends["bf16"] / ends["fp32"] - 1)
    print(f"{apart:.3%} apart")
    return 1 if apart > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
