"""bf16 beside fp32 over 2,000 steps of a small model: valid bits per base at the end, within half a per cent.

The whole path but Ray, on a synthetic genome: store, shards, DeepSpeed, AdamW; the same batches in both.

Example: OMP_NUM_THREADS=2 python bench/bf16.py
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from one_rank import one_rank

from hdna.benchmark.timing import conditions
from hdna.config.recipe import parse_recipe
from hdna.run.files import read_metrics
from hdna.train.engine import fused_kernels
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards
from hdna_prep.synthetic import write_genome

TOLERANCE = 0.005
RECIPE = """
run: {{url: {folder}/{precision}}}
model: {{d_model: {width}, n_layer: 2, l_max: {context}, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: {context}, until_tokens: {tokens}, micro_batch_size: {samples}, sequence_parallel: 1}}]
optim: {{learning_rate: 1e-3, global_batch_tokens: {batch}, warmup_fraction: 0.05, clip_norm: 0.3}}
parallel: {{workers: 1, zero_stage: 1, precision: {precision}}}
checkpoint: {{every_steps: 1000000}}
evaluate: {{every_steps: {every}, max_bases: 1e5}}
"""


@dataclass(frozen=True)
class Setting:
    """What is trained."""

    steps: int = 2000
    width: int = 64
    context: int = 512
    samples: int = 4
    bases: int = 2_000_000


def both(setting: Setting, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row for each precision."""
    with TemporaryDirectory() as folder, one_rank(device):
        write_genome(Path(folder, "genome.fa"), setting.bases, contigs=8)
        encode_genome([f"{folder}/genome.fa"], f"{folder}/genome.zarr")
        write_shards([f"{folder}/genome.zarr"], f"{folder}/shards", rule="contig", window=8192)
        batch = setting.samples * setting.context
        for precision in ("fp32", "bf16"):
            text = RECIPE.format(
                folder=folder,
                precision=precision,
                width=setting.width,
                context=setting.context,
                samples=setting.samples,
                batch=batch,
                tokens=setting.steps * batch,
                every=max(1, setting.steps // 4),
            )
            train(parse_recipe(text, "bench/bf16.py"), device, lambda event: None)
            records = read_metrics(f"{folder}/{precision}")
            yield {
                "precision": precision,
                "steps": len(records),
                "valid_bits_per_base": [r.valid_bits_per_base for r in records if r.valid_bits_per_base is not None],
                "median_step_seconds": median(record.seconds or 0.0 for record in records),
                "kernels": fused_kernels(device),
            }


def apart(rows: list[dict[str, Any]]) -> float:
    """How far the two end from each other, relative to fp32."""
    fp32, bf16 = (row["valid_bits_per_base"][-1] for row in rows)
    return abs(float(bf16) / float(fp32) - 1)


def main() -> int:
    """Train in both; 1 if they end too far apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps of each (default 2,000)")
    args = parser.parse_args()
    device = torch.device("cpu")
    print(conditions(device))
    rows = []
    for row in both(Setting(steps=args.steps), device):
        rows.append(row)
        scores = " ".join(f"{score:.5f}" for score in row["valid_bits_per_base"])
        print(f"{row['precision']}: {row['steps']} steps, valid bits per base {scores}", flush=True)
    print(f"{apart(rows):.3%} apart")
    return 1 if apart(rows) > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
