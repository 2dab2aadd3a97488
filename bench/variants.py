"""Alleles by differences beside whole passes of the same model, and every substitution of a stretch.

Both sides run in one process and in turns; the whole passes are plain forward passes under no_grad, of as many edited
windows at once as is fastest. Of the differences the pass over the window, which all alleles share, is told apart.
"apart" is the largest difference between the two ways' log-likelihood ratios, in nats, over a few alleles of all kinds;
beside it that of each from fp64.
The last line scores every substitution of a stretch, window's pass included, and says what ten times that would take.

Example: OMP_NUM_THREADS=2 python bench/variants.py --models 2x128 4x256
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from hdna.benchmark.timing import conditions, interleaved, seconds
from hdna.config import ModelConfig
from hdna.downstream.variants.differences import by_differences
from hdna.downstream.variants.edits import Edit, Tokens
from hdna.downstream.variants.full_pass import by_full_pass
from hdna.genome.alphabet import A, T, encode
from hdna.model import HyenaDNA
from hdna.train.allocator import keep_freed_memory

LENGTH = 32_770
"""Tokens of a window, and the model's l_max: the published small-32k's."""
HORIZONS = (128, 256, 512, 1024)
ROWS = (1, 2, 4)
POSITIONS = 2**16
"""Of all alleles that one timing takes."""


def a_model(text: str) -> HyenaDNA:
    """Of so many layers x so many channels; each weight has moved, so that all of them count."""
    layers, width = map(int, text.split("x"))
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(d_model=width, n_layer=layers, l_max=LENGTH)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def substitutions(window_L: Tokens, first: int, positions: int) -> list[Edit]:
    """All three of each position."""
    bases = np.arange(A, T + 1, dtype=np.uint8)
    places = range(first, first + positions)
    return [Edit(p, 1, bases[base : base + 1]) for p in places for base in range(4) if bases[base] != window_L[p]]


def errors(model: HyenaDNA, window_L: Tokens, horizon: int) -> list[float]:
    """The largest differences of log-likelihood ratios, in nats: of both ways; of each from fp64."""
    start = LENGTH - horizon - 100
    some = [*substitutions(window_L, start, 2), Edit(start + 5, 3, encode(b"ACG")), Edit(start + 9, 5, encode(b""))]
    some += [Edit(start + 20, 0, encode(b"TTGACCA")), Edit(start + 30, 50, encode(b"A"))]
    whole, ours = (np.subtract(*score(model, window_L, some, horizon)) for score in (by_full_pass, by_differences))
    exact = np.subtract(*by_differences(model.double(), window_L, some, horizon))
    model.float()
    return [float(np.abs(a - b).max()) for a, b in ((whole, ours), (whole, exact), (ours, exact))]


def row(model: HyenaDNA, window_L: Tokens, horizon: int, repeats: int) -> str:
    """Both sides' milliseconds of an allele."""
    device = torch.device("cpu")
    edits = substitutions(window_L, LENGTH - horizon - POSITIONS // horizon // 3 - 1, POSITIONS // horizon // 3)
    runs: dict[str, Callable[[], object]] = {
        "window": partial(by_differences, model, window_L, edits[:1], horizon),
        "alleles": partial(by_differences, model, window_L, edits, horizon),
    }
    for rows in ROWS:
        runs[f"full {rows}"] = partial(model, torch.from_numpy(window_L.astype(np.int64)).repeat(rows, 1))
    with torch.no_grad():
        for run in runs.values():
            run()
        taken = interleaved(runs, device, repeats)
    full, rows = min((taken[f"full {rows}"] / rows, rows) for rows in ROWS)
    each = (taken["alleles"] - taken["window"]) / (len(edits) - 1)
    apart = " ".join(f"{found:>8.1e}" for found in errors(model, window_L, horizon))
    shared = each + taken["window"] / 3000
    return (
        f"{horizon:>8} {full * 1e3:>10.1f} ({rows}) {each * 1e3:>12.3f} {full / each:>7.0f} {shared * 1e3:>14.3f} "
        f"{full / shared:>7.0f} {taken['window']:>9.2f} {apart}"
    )


def main() -> None:
    """Print a row for each horizon of each model, and a line for a stretch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["2x128", "4x256"], help="layers x channels")
    parser.add_argument("--horizons", nargs="+", type=int, default=HORIZONS)
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each side (default 3)")
    parser.add_argument("--saturate", type=int, default=1000, help="positions of the stretch (default 1000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("fp32", conditions(torch.device("cpu")), "freed memory kept:", keep_freed_memory())
    window_L = np.random.default_rng(0).integers(A, T + 1, LENGTH).astype(np.uint8)
    for text in args.models:
        model = a_model(text)
        print(f"{text}, window of {LENGTH:,} tokens")
        print(
            f"{'horizon':>8} {'whole, ms (rows)':>14} {'allele, ms':>12} {'times':>7} {'with 1/3000 of':>14} "
            f"{'times':>7} {'window, s':>9} {'apart':>8} {'whole':>8} {'ours':>8}"
        )
        for horizon in args.horizons:
            print(row(model, window_L, horizon, args.repeats), flush=True)
        if args.saturate:
            horizon = min(256, max(args.horizons))
            edits = substitutions(window_L, LENGTH - horizon - args.saturate - 1, args.saturate)
            taken = seconds(partial(by_differences, model, window_L, edits, horizon), torch.device("cpu"))
            print(
                f"{len(edits):,} substitutions, horizon {horizon}: {taken:.1f} s; ten times as many {10 * taken:.0f} s"
            )


if __name__ == "__main__":
    main()
