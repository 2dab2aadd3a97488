"""How fast a model embeds, by the length of sequences, and what a genome of 3 Gb would take at that rate.

Random weights and bases; pooled, in one process, in turns, the median of the rounds. Reading FASTA and writing Parquet
are not in it: `hdna eval embed` measures with them.

Example: python bench/embed.py --width 256 --layers 4 --longest 32768
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from hdna.benchmark.timing import conditions
from hdna.config.schema import DataConfig, ModelConfig, RunConfig, RunSection, Stage
from hdna.downstream.embed.embedder import Embedder, Wanted, padded_length
from hdna.downstream.embed.summary import GENOME_BASES
from hdna.downstream.subject import Subject, best_device
from hdna.genome import alphabet
from hdna.model import HyenaDNA

SHORTEST = 200


def main() -> None:
    """Print the conditions, then a row for each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128, help="d_model")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--longest", type=int, default=2**15, help="l_max")
    parser.add_argument("--bases", type=int, default=2**19, help="of each length, in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the rows to this JSON file")
    args = parser.parse_args()
    subject = _subject(ModelConfig(d_model=args.width, n_layer=args.layers, l_max=args.longest))
    setting = {**conditions(subject.device), "width": args.width, "layers": args.layers, "bases": args.bases}
    print(", ".join(f"{key} {value}" for key, value in setting.items()))
    rows = _rows(Embedder(subject, Wanted(None, "mean", "float32")), args.longest, args.bases, args.rounds)
    print(f"{'length':>10} {'padded':>10} {'Mb/s':>8} {'hours for 3 Gb':>16} {'float16 output, GB':>20}")
    for row in rows:
        row["float16_gigabytes"] = GENOME_BASES / row["length"] * args.width * 2 / 1e9
        numbers = f"{row['megabases_per_second']:8.3g} {row['hours']:16,.1f} {row['float16_gigabytes']:20.3g}"
        print(f"{row['length']:10,} {row['padded']:10,} {numbers}")
    if args.out:
        args.out.write_text(json.dumps({**setting, "rows": rows}, indent=1) + "\n")


def _subject(config: ModelConfig) -> Subject:
    torch.manual_seed(0)
    device = best_device()
    model = HyenaDNA(config).eval().requires_grad_(False).to(device)
    stage = Stage(context_length=config.l_max, until_tokens=config.l_max)
    recipe = RunConfig(run=RunSection(url="none"), model=config, data=DataConfig(shards=["none"]), curriculum=[stage])
    return Subject("none", 0, 0, "0" * 64, recipe, model, device)


def _rows(embedder: Embedder, longest: int, bases: int, rounds: int) -> list[dict[str, float]]:
    """A row for each length, five-fold apart, and the longest."""
    lengths = [length for power in range(12) if (length := SHORTEST * 5**power) < longest] + [longest]
    rng = np.random.default_rng(0)
    seconds: dict[int, list[float]] = {length: [] for length in lengths}
    for number in range(rounds + 1):  # the first loads what is loaded at first
        for length in lengths:
            tokens = rng.integers(alphabet.A, alphabet.N, (max(1, bases // length), length)).astype(np.uint8)
            began = time.perf_counter()
            embedder.embed(list(tokens))
            if number:
                seconds[length].append((time.perf_counter() - began) / tokens.size)
    rows = []
    for length in lengths:
        rate = 1 / median(seconds[length]) / 1e6
        hours = GENOME_BASES / 1e6 / rate / 3600
        padded = padded_length(length, longest)
        rows.append({"length": length, "padded": padded, "megabases_per_second": rate, "hours": hours})
    return rows


if __name__ == "__main__":
    main()
