"""Forward and backward of the language model beside the reference, in one process.

Each length 2^k is also measured at 2^k - 1, where the reference trains and its FFT sizes have large prime factors;
ratios are of the reference's time to ours at the same length. Peak memory, on a GPU, is that of each model's live
tensors above its parameters and input; on a CPU, without a reference, the resident size of the whole process so far.

Examples:
  OMP_NUM_THREADS=2 python bench/model_step.py --reference standalone_hyenadna.py
  python bench/model_step.py --device cuda --precision bf16 --lengths 1024 1048576 --width 256 --layers 8
"""

import argparse
import json
import resource
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from reference_model import ReferenceModel
from torch import nn

from hdna.benchmark.timing import conditions, interleaved
from hdna.config.schema import ModelConfig
from hdna.model import HyenaDNA, train_flops_per_token

TOKENS = 8192
"""Of a step of short samples: as many samples as make it."""


def step_of(model: nn.Module, ids_BL: torch.Tensor, bf16: bool) -> Callable[[], None]:
    """Forward and backward of the mean loss of predicting each next token."""
    targets_N = ids_BL.roll(-1, dims=1).flatten()

    def step() -> None:
        with torch.autocast(ids_BL.device.type, torch.bfloat16) if bf16 else nullcontext():
            logits = model(ids_BL)
        F.cross_entropy(logits.flatten(0, 1).float(), targets_N).backward()
        model.zero_grad()

    return step


def measure(config: ModelConfig, length: int, args: argparse.Namespace) -> dict[str, Any]:
    """One length: seconds of each side, and what follows from them."""
    device = torch.device(args.device)
    batch = max(1, TOKENS // length)
    torch.manual_seed(0)
    ids_BL = torch.randint(7, 11, (batch, length), device=device)
    ours = HyenaDNA(config).to(device)
    ours.backbone.activation_checkpointing = args.checkpointing
    runs = {"ours": step_of(ours, ids_BL, args.precision == "bf16")}
    if args.reference:
        runs["reference"] = step_of(ReferenceModel(args.reference, config).to(device), ids_BL, args.precision == "bf16")
    peaks = {name: _peak(run, device) for name, run in runs.items()}
    medians = interleaved(runs, device, args.repeats)
    if device.type == "cpu":
        peaks = {} if args.reference else {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    flops = train_flops_per_token(config, length, batch) * ids_BL.numel()
    return {
        "length": length,
        "batch": batch,
        "seconds": medians,
        "ratio": medians["reference"] / medians["ours"] if args.reference else None,
        "tokens_per_second": ids_BL.numel() / medians["ours"],
        "tflops": flops / medians["ours"] / 1e12,
        "peak_bytes": peaks,
    }


def _peak(run: Callable[[], None], device: torch.device) -> int:
    """Bytes of the first step's peak above what lived before it; 0 on a CPU."""
    if device.type != "cuda":
        run()
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def main() -> None:
    """Print the conditions, then one line per length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1023, 1024, 32767, 32768, 131071, 131072])
    parser.add_argument("--width", type=int, default=128, help="d_model (default 128)")
    parser.add_argument("--layers", type=int, default=2, help="n_layer (default 2)")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations, ours only")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each side (default 5)")
    parser.add_argument("--reference", type=Path, help="path to the reference's standalone_hyenadna.py")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(conditions(torch.device(args.device)), f"{args.layers} x {args.width}, {args.precision}")
    print(f"{'L':>8} {'B':>3} {'ours s':>9} {'ref s':>9} {'ratio':>6} {'tokens/s':>10} {'TFLOP/s':>8}  peak GiB")
    rows = []
    for length in args.lengths:
        config = ModelConfig(d_model=args.width, n_layer=args.layers, l_max=length, embed_dropout=0.0)
        rows.append(row := measure(config, length, args))
        times, peaks = row["seconds"], {name: round(size / 2**30, 2) for name, size in row["peak_bytes"].items()}
        reference = f"{times['reference']:9.4f} {row['ratio']:6.2f}" if args.reference else f"{'-':>9} {'-':>6}"
        print(
            f"{length:8d} {row['batch']:3d} {times['ours']:9.4f} {reference} {row['tokens_per_second']:10,.0f} "
            f"{row['tflops']:8.3f}  {peaks}",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps({"conditions": conditions(torch.device(args.device)), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
