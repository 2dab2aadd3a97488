"""Does a learning rate of its own for the filters calm spikes? Losses, spikes and scores over learning rates of both.

The same model, data and batches; a spike is a step whose loss is more than 0.05 bits per base above the median of the
twenty steps before it.

Example: OMP_NUM_THREADS=2 python bench/filter_learning_rate.py chr2_1-2333275.fa.gz
"""

import argparse
from statistics import median
from tempfile import TemporaryDirectory

import torch
from one_rank import one_rank

from hdna.benchmark.timing import conditions
from hdna.config.recipe import parse_recipe
from hdna.run.files import read_metrics
from hdna.run.step_record import StepRecord
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

RATES = (2e-3, 6e-3, 2e-2)
SHARES = (1.0, 0.3, 0.1, 0.03)
"""Of the filters' rate in the others'."""
SPIKE, BEFORE = 0.05, 20
RECIPE = """
run: {{url: {folder}/{name}}}
model: {{d_model: 64, n_layer: 2, l_max: 1024, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: 1024, until_tokens: {tokens}, micro_batch_size: 8, sequence_parallel: 1}}]
optim: {{learning_rate: {rate}, filter_learning_rate: {filter_rate}, global_batch_tokens: 8192, warmup_fraction: 0.05}}
parallel: {{workers: 1, zero_stage: 1, precision: fp32}}
checkpoint: {{every_steps: 1000000}}
evaluate: {{every_steps: 1000000, max_bases: 2e5}}
"""


def spikes(records: list[StepRecord]) -> int:
    """Steps whose loss stands out above those before them; not the first ones, in which it still falls fast."""
    bits = [record.bits_per_base or 0.0 for record in records]
    return sum(bits[i] > median(bits[i - BEFORE : i]) + SPIKE for i in range(2 * BEFORE, len(bits)))


def main() -> None:
    """Print a row for each pair of rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", help="a genome, or a piece of one")
    parser.add_argument("--steps", type=int, default=300, help="of each (default 300)")
    args = parser.parse_args()
    device = torch.device("cpu")
    print(conditions(device))
    print(
        f"{'rate':>8} {'filters':>8} {'spikes':>7} {'worst norm':>11} {'median norm':>12} {'valid bits per base':>20}"
    )
    with TemporaryDirectory() as folder, one_rank(device):
        encode_genome([args.fasta], f"{folder}/genome.zarr")
        write_shards([f"{folder}/genome.zarr"], f"{folder}/shards", window=65536)
        for rate in RATES:
            for share in SHARES:
                name = f"{rate:g}-{share:g}"
                text = RECIPE.format(
                    folder=folder, name=name, rate=rate, filter_rate=rate * share, tokens=args.steps * 8192
                )
                train(parse_recipe(text, "bench/filter_learning_rate.py"), device, lambda event: None)
                records = read_metrics(f"{folder}/{name}")
                norms = [record.grad_norm or float("inf") for record in records[2 * BEFORE :]]
                print(
                    f"{rate:8.0e} {rate * share:8.0e} {spikes(records):7} {max(norms):11.2f} {median(norms):12.3f} "
                    f"{records[-1].valid_bits_per_base or float('nan'):20.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
