"""A model of context 4,096 extended to 16,384: by which positions of its filter does it lose least, and learn most?

Trains on a FASTA file, extends the model in each way that `model.filter_positions` offers, scores it at both contexts
at once, and again after some more tokens at the longer one. The table is in docs/weights.md.

Example: OMP_NUM_THREADS=2 python bench/context_extension.py chr2_1-2333275.fa.gz
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from one_rank import one_rank
from torch import Tensor

from hdna.benchmark.timing import conditions
from hdna.checkpoint import load_weights
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.data.cache import ShardCache
from hdna.data.stream import WindowReader
from hdna.evaluate.bits import score, total_of
from hdna.evaluate.scored_sets import scored_sets
from hdna.genome.shard_set import load_shard_set
from hdna.model import HyenaDNA
from hdna.model.loss import weighted_nats
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

SHORT, LONG = 4096, 16384
RECIPE = """
run: {{url: {folder}/{name}, init_from: {source}}}
model: {{n_layer: 2, l_max: {context}, extended_from: {before}, filter_positions: {way}, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: {context}, until_tokens: {tokens}, micro_batch_size: {samples}, sequence_parallel: 1}}]
optim: {{learning_rate: {rate}, global_batch_tokens: 32768, warmup_fraction: 0.1, clip_norm: 0.3}}
parallel: {{workers: 1, zero_stage: 1, precision: fp32}}
checkpoint: {{every_steps: 1000000}}
evaluate: {{every_steps: 1000000, max_bases: 2e5}}
"""
WAYS = ("squeezed", "absolute", "rescaled")


def recipe(folder: str, name: str, context: int, tokens: int, source: str = "null", way: str = WAYS[0]) -> RunConfig:
    """A run on the FASTA file's shards; an extension has a quarter of the learning rate."""
    text = RECIPE.format(
        folder=folder,
        name=name,
        source=source,
        context=context,
        before=[] if source == "null" else [SHORT],
        way=way,
        tokens=tokens,
        samples=max(1, 8192 // context),
        rate=2e-3 if source == "null" else 5e-4,
    )
    return parse_recipe(text, "bench/context_extension.py")


def bits(config: RunConfig, url: str, context: int) -> float:
    """Valid bits per base of a run's weights at a context."""
    model = HyenaDNA(config.model).eval()
    model.load_state_dict(load_weights(url))
    sets = [load_shard_set(shards) for shards in config.data.shards]
    reader = WindowReader(sets, "valid", ShardCache())

    def nats(batch: MicroBatch) -> Tensor:
        return weighted_nats(model(batch.input_ids), batch.targets, batch.weights)

    scored = scored_sets(sets, "valid", config.evaluate.max_bases)
    found = score(nats, reader, scored, context, max(1, LONG // context), Mesh.of_this_process())
    return total_of(found).bits_per_base


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", help="a genome, or a piece of one")
    parser.add_argument("--tokens", type=int, default=6_000_000, help="of the first training, at 4,096")
    parser.add_argument("--more", type=int, default=1_500_000, help="after the extension, at 16,384")
    args = parser.parse_args()
    device = torch.device("cpu")
    print(conditions(device))
    with TemporaryDirectory() as folder, one_rank(device):
        encode_genome([args.fasta], f"{folder}/genome.zarr")
        write_shards([f"{folder}/genome.zarr"], f"{folder}/shards", window=65536)
        short = recipe(folder, "short", SHORT, args.tokens)
        train(short, device, lambda event: None)
        source = f"{folder}/short"
        print(f"trained on {args.tokens:,} tokens at {SHORT:,}: {bits(short, source, SHORT):.4f} valid bits per base")
        print(f"{'':10} {'at once, at':>22}   {'after ' + format(args.more, ',') + ' tokens, at':>30}")
        print(f"{'':10} {SHORT:>10,} {LONG:>11,}   {SHORT:>18,} {LONG:>11,}")
        for way in WAYS:
            config = recipe(folder, way, LONG, args.more, source, way)
            before = [bits(config, source, context) for context in (SHORT, LONG)]
            train(config, device, lambda event: None)
            after = [bits(config, str(Path(folder, way)), context) for context in (SHORT, LONG)]
            print(f"{way:10} {before[0]:10.4f} {before[1]:11.4f}   {after[0]:18.4f} {after[1]:11.4f}", flush=True)


if __name__ == "__main__":
    main()
