"""A model of context 4,096 extended to 16,384: by which positions of its filter does it lose least, and learn most?

Trains on a FASTA file (docs/weights.md: human chr2:1-2,333,275 of hg38), extends the model in each way, scores it at
both contexts at once, and again after some more tokens at the longer one.

  absolute   model.filter_l_max = 4,096    the filter is what it was, and goes on beyond its end
  halfway    model.filter_l_max = 8,192    stretched by two
  rescaled   model.filter_l_max = 16,384   stretched by four
  squeezed   as it was up to 2,048; the rest of the positions squeezed into what was left of the trained range

Example: OMP_NUM_THREADS=2 python bench/context_extension.py chr2_1-2333275.fa.gz
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from one_rank import one_rank
from torch import Tensor

from hdna.benchmark.timing import conditions
from hdna.checkpoint import load_weights
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.data.cache import ShardCache
from hdna.data.stream import WindowReader
from hdna.evaluate.bits import evaluation_crops, score
from hdna.genome.shard_set import load_shard_set
from hdna.model import HyenaDNA, filter
from hdna.model.loss import weighted_nats
from hdna.model.micro_batch import MicroBatch
from hdna.parallel import Mesh
from hdna.train.loop import train
from hdna_prep.encode import encode_genome
from hdna_prep.shards import write_shards

SHORT, LONG = 4096, 16384
RECIPE = """
run: {{url: {folder}/{name}, init_from: {source}}}
model: {{d_model: 128, n_layer: 2, l_max: {context}, filter_l_max: {span}, embed_dropout: 0.0}}
data: {{shards: [{folder}/shards]}}
curriculum: [{{context_length: {context}, until_tokens: {tokens}, micro_batch_size: {samples}, sequence_parallel: 1}}]
optim: {{learning_rate: {rate}, global_batch_tokens: 32768, warmup_fraction: 0.1, clip_norm: 0.3}}
parallel: {{workers: 1, zero_stage: 1, precision: fp32}}
checkpoint: {{every_steps: 1000000}}
evaluate: {{every_steps: 1000000, max_bases: 2e5}}
"""
WAYS = {"absolute": SHORT, "halfway": 2 * SHORT, "rescaled": LONG, "squeezed": SHORT}


def recipe(folder: str, name: str, context: int, span: int, tokens: int, source: str = "null") -> RunConfig:
    """A run on the FASTA file's shards; an extension has a quarter of the learning rate."""
    rate = 2e-3 if source == "null" else 5e-4
    text = RECIPE.format(
        folder=folder,
        name=name,
        source=source,
        context=context,
        span=span,
        tokens=tokens,
        samples=max(1, 8192 // context),
        rate=rate,
    )
    return parse_recipe(text, "bench/context_extension.py")


def squeezed(l_max: int, emb_dim: int, span: int | None = None) -> Tensor:
    """Features as trained up to half the span; from there on, positions share what was left of it."""
    span = span or l_max
    trained = POSITIONAL_FEATURES(span, emb_dim)
    if l_max == span:
        return trained
    half = span // 2
    place = half + (torch.arange(l_max - half) * ((span - 1 - half) / (l_max - 1 - half)))
    below = place.floor().long().clamp(max=span - 2)
    between = torch.lerp(trained[below], trained[below + 1], (place - below)[:, None].float())
    return torch.cat((trained[:half], between))


POSITIONAL_FEATURES = filter.positional_features


@contextmanager
def positions(way: str) -> Iterator[None]:
    """The model's positional features by this way; three of them are a key of the recipe."""
    with patch.object(filter, "positional_features", squeezed if way == "squeezed" else POSITIONAL_FEATURES):
        yield


def bits(config: RunConfig, url: str, context: int) -> float:
    """Valid bits per base of a run's weights at a context."""
    model = HyenaDNA(config.model).eval()
    model.load_state_dict(load_weights(url))
    reader = WindowReader([load_shard_set(shards) for shards in config.data.shards], "valid", ShardCache())

    def nats(batch: MicroBatch) -> Tensor:
        return weighted_nats(model(batch.input_ids), batch.targets, batch.weights)

    crops = evaluation_crops(reader, context, config.evaluate.max_bases)
    return score(nats, reader, crops, context, max(1, LONG // context), Mesh.of_this_process()).bits_per_base


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
        short = recipe(folder, "short", SHORT, SHORT, args.tokens)
        train(short, device, lambda event: None)
        source = f"{folder}/short"
        print(f"trained on {args.tokens:,} tokens at {SHORT:,}: {bits(short, source, SHORT):.4f} valid bits per base")
        print(f"{'':10} {'at once, at':>22}   {'after ' + format(args.more, ',') + ' tokens, at':>30}")
        print(f"{'':10} {SHORT:>10,} {LONG:>11,}   {SHORT:>18,} {LONG:>11,}")
        for way, span in WAYS.items():
            config = recipe(folder, way, LONG, span, args.more, source)
            with positions(way):
                before = [bits(config, source, context) for context in (SHORT, LONG)]
                train(config, device, lambda event: None)
                after = [bits(config, str(Path(folder, way)), context) for context in (SHORT, LONG)]
            print(f"{way:10} {before[0]:10.4f} {before[1]:11.4f}   {after[0]:18.4f} {after[1]:11.4f}", flush=True)


if __name__ == "__main__":
    main()
