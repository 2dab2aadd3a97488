"""bf16 beside fp32 on the device, over 500 steps of training on a synthetic genome.

The whole path but Ray: store, shards, DeepSpeed, fused AdamW. Valid bits per base may differ by half a per cent.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from one_rank import one_rank

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
model: {{d_model: {width}, n_layer: 2, l_max: 1024, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: 1024, until_tokens: {tokens}, micro_batch_size: 8, sequence_parallel: 1}}]
optim: {{learning_rate: 1e-3, global_batch_tokens: 8192, warmup_fraction: 0.1}}
parallel: {{workers: 1, zero_stage: 1, precision: {precision}}}
checkpoint: {{every_steps: 1000000}}
evaluate: {{every_steps: {steps}, max_bases: 1e5}}
"""


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """Valid bits per base at the end, by precision."""
    steps = 4 if reduced else 500
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder, one_rank(device):
        _prepare(Path(folder), 200_000 if reduced else 1_000_000)
        for precision in ("fp32", "bf16"):
            text = RECIPE.format(
                folder=folder, precision=precision, width=32 if reduced else 128, tokens=steps * 8192, steps=steps
            )
            train(parse_recipe(text, "bench/gpu/precision.py"), device, lambda event: None)
            records = read_metrics(f"{folder}/{precision}")
            seconds = sorted(record.seconds or 0.0 for record in records)
            rows.append(
                {
                    "precision": precision,
                    "steps": len(records),
                    "valid_bits_per_base": records[-1].valid_bits_per_base,
                    "median_step_seconds": seconds[len(seconds) // 2],
                    "kernels": fused_kernels(device),
                }
            )
    fp32, bf16 = (float(row["valid_bits_per_base"]) for row in rows)
    off = abs(bf16 / fp32 - 1)
    return {"rows": rows, "problems": [f"bf16 ends {off:.2%} away from fp32"] if off > TOLERANCE else []}


def _prepare(folder: Path, bases: int) -> None:
    write_genome(folder / "genome.fa", bases, contigs=8)
    encode_genome([str(folder / "genome.fa")], str(folder / "store.zarr"))
    write_shards([str(folder / "store.zarr")], str(folder / "shards"), rule="contig", window=8192)
