"""Which quickstart learns most in its four minutes: variants of the recipe on one shard set, each beside order 5.

The whole of each variant is trained, in one process on one rank without Ray; the seconds are training's alone, of which
a run of `hdna train` adds 25 to 40 for Ray, the simple models and the end.

Example: OMP_NUM_THREADS=1 python bench/quickstart_search.py work/search/shards
"""

import argparse
import time
from tempfile import TemporaryDirectory

import torch
from one_rank import one_rank

from hdna.benchmark.timing import conditions
from hdna.config import RunConfig, load_recipe
from hdna.run.files import BASELINES, read_json, read_metrics
from hdna.train.loop import train

SHORT = (
    "model.l_max=1024",
    "curriculum.0.until_tokens=6e6",
    "curriculum.1.until_tokens=8e6",
    "curriculum.1.context_length=1024",
    "curriculum.1.micro_batch_size=2",
)
"""Eight million tokens at one context: enough to tell rates apart."""
BEGUN_WITH = ("optim.filter_learning_rate=1e-3", "optim.weight_decay=0.1")
"""What was varied one by one; then the best of each together."""
VARIANTS: dict[str, tuple[str, ...]] = {
    "begun with": (*SHORT, *BEGUN_WITH),
    "l_max 512": (
        *SHORT,
        *BEGUN_WITH,
        "model.l_max=512",
        *(f"curriculum.{stage}.context_length=512" for stage in (0, 1)),
        *(f"curriculum.{stage}.micro_batch_size=4" for stage in (0, 1)),
    ),
    "clip 2": (*SHORT, *BEGUN_WITH, "optim.clip_norm=2"),
    "rate 1.2e-2": (*SHORT, *BEGUN_WITH, "optim.learning_rate=1.2e-2"),
    "no weight decay": (*SHORT, *BEGUN_WITH, "optim.weight_decay=0"),
    "filters' rate 6e-3, that of the rest": (*SHORT, *BEGUN_WITH, "optim.filter_learning_rate=6e-3"),
    "filters' rate 3e-4": (*SHORT, *BEGUN_WITH, "optim.filter_learning_rate=3e-4"),
    "1e-4, no weight decay": SHORT,
    "1e-4, no weight decay, rate 1e-2": (*SHORT, "optim.learning_rate=1e-2"),
    "2e-5, no weight decay": (*SHORT, "optim.filter_learning_rate=2e-5"),
    "quickstart": (),
    "as it was before": (
        "model.d_model=128",
        "model.l_max=4096",
        "curriculum.0.until_tokens=1.5e6",
        "curriculum.0.micro_batch_size=4",
        "curriculum.1.context_length=4096",
        "curriculum.1.until_tokens=3e6",
        "optim.learning_rate=1e-3",
        "optim.filter_learning_rate=null",
        "optim.weight_decay=0.1",
        "optim.global_batch_tokens=8192",
        "evaluate.every_steps=100",
    ),
    "width 96": (
        "model.d_model=96",
        "optim.learning_rate=5e-3",
        "curriculum.0.until_tokens=5e6",
        "curriculum.1.until_tokens=8e6",
    ),
    "batch 4,096, context 4,096": (
        "model.l_max=4096",
        "curriculum.1.context_length=4096",
        "curriculum.0.micro_batch_size=4",
        "optim.global_batch_tokens=4096",
        "optim.learning_rate=8e-3",
        "optim.filter_learning_rate=2e-4",
        "curriculum.0.until_tokens=8e6",
        "curriculum.1.until_tokens=12e6",
    ),
}
"""Overrides of the recipe by what they try; the last two take as long as it."""


def trained(config: RunConfig) -> str:
    """A row: seconds of training, bits per base at the end of each stage, and the last one's lead over order 5."""
    began = time.perf_counter()
    train(config, torch.device("cpu"), lambda event: None)
    seconds = time.perf_counter() - began
    records = read_metrics(config.run.url)
    ends = {record.stage: record.valid_bits_per_base for record in records if record.valid_bits_per_base is not None}
    order_5 = float(read_json(config.run.url, BASELINES)["markov"])
    bits = "  ".join(f"{value:.4f}" for value in ends.values() if value is not None)
    last = records[-1].valid_bits_per_base or float("nan")
    return f"{records[-1].step:>6,} {records[-1].tokens:>11,} {seconds:>5.0f}  {bits}  {last - order_5:+.4f}"


def main() -> None:
    """Print a row for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", help="shard set to train and score on")
    parser.add_argument("--only", nargs="*", help="names of variants", choices=VARIANTS)
    args = parser.parse_args()
    device = torch.device("cpu")
    print(conditions(device))
    print(f"{'variant':<38} {'steps':>6} {'tokens':>11} {'s':>5}  bits per base by stage, last against order 5")
    with TemporaryDirectory() as folder, one_rank(device):
        for number, name in enumerate(args.only or VARIANTS):
            own = [f"data.shards={args.shards}", f"run.url={folder}/{number}", "checkpoint.every_steps=1000000"]
            print(f"{name:<38} {trained(load_recipe('quickstart', [*VARIANTS[name], *own]))}", flush=True)


if __name__ == "__main__":
    main()
