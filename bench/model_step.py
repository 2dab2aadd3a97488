"""Forward and backward of the language model, and of its long convolution, beside others, in one process.

Beside the model: the reference at the same length 2^k and at 2^k - 1, where it trains and its FFT sizes have large
prime factors; ours under torch.compile, without tiles; a Transformer of the same depth and width with the first
attention that torch has of flash, cuDNN's and the memory-efficient one. Beside the convolution: torch.fft under
autograd, and FlashFFTConv where it is installed. Medians of interleaved runs; ratios are of the other's time to ours,
per token. Another side is left out where its next step would take longer than --limit, or needs more memory than there
is; where ours takes longer, one run counts.

Examples:
  OMP_NUM_THREADS=2 python bench/model_step.py --reference standalone_hyenadna.py --out step.json
  python bench/model_step.py --device cuda --precision bf16 --width 256 --layers 8 --checkpointing
  python bench/model_step.py --lengths 131071 --alone --repeats 1
"""

import argparse
import json
import os
import resource
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from long_conv import gated, ways
from reference_model import ReferenceModel
from torch import nn
from torch.nn.attention import sdpa_kernel

from hdna.benchmark.timing import conditions, interleaved, seconds
from hdna.benchmark.transformer import Transformer, usable_backends
from hdna.config.schema import ModelConfig
from hdna.devices import device_called
from hdna.model import HyenaDNA, train_flops_per_token, weighted_nats
from hdna.model.memory import MicroStepShape, saved_bytes

TOKENS = 8192
"""Of a step of short samples: as many samples as make it."""
HEAD_DIM = 64
BYTES_PER_TOKEN = 150
"""A reference's, or a Transformer's, at least, per layer and channel: 36,475 at 2 layers of width 128."""
Run = Callable[[], None]


class Sides:
    """The models of one length, each built when it is its turn."""

    def __init__(self, args: argparse.Namespace, length: int) -> None:
        self.args, self.length, self.device = args, length, torch.device(args.device)
        self.batch = max(1, TOKENS // length)
        self.bf16 = args.precision == "bf16"

    def config(self, length: int) -> ModelConfig:
        """Of the model at its longest context."""
        return ModelConfig(d_model=self.args.width, n_layer=self.args.layers, l_max=length, embed_dropout=0.0)

    def builds(self) -> dict[str, Callable[[], Run]]:
        """By name, ours first."""
        builds: dict[str, Callable[[], Run]] = {"ours": self._ours}
        if self.args.reference:
            builds |= {"reference": partial(self._reference, self.length)}
            builds |= {"reference_odd": partial(self._reference, self.length - 1)}
        if not self.args.alone:
            builds |= {"compiled": self._compiled, "attention": self._attention}
        return builds

    def _ours(self) -> Run:
        model = HyenaDNA(self.config(self.length)).to(self.device)
        model.backbone.activation_checkpointing = self.args.checkpointing
        model.backbone.use_cuda_graphs(self.device.type == "cuda")
        return self._step(model, self.length)

    def _compiled(self) -> Run:
        torch.compiler.reset()  # another length is another program, compiled as for the first time
        torch.compiler.config.force_disable_caches = True
        warnings.filterwarnings("ignore", "dynamo_pgo force disabled")
        model = HyenaDNA(self.config(self.length)).to(self.device)
        model.compile(fullgraph=True)
        return self._step(model, self.length)

    def _reference(self, length: int) -> Run:
        return self._step(ReferenceModel(self.args.reference, self.config(length)).to(self.device), length)

    def _attention(self) -> Run:
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        backend = usable_backends(self.device, dtype, HEAD_DIM)[0]
        model = Transformer(self.config(self.length), self.args.width // HEAD_DIM, self.args.checkpointing)
        step = self._step(model.to(self.device), self.length)

        def run() -> None:
            with sdpa_kernel(backend):
                step()

        return run

    def _step(self, model: nn.Module, length: int) -> Run:
        ids_BL = torch.randint(7, 11, (self.batch, length), device=self.device)
        targets_BL, weights_BL = ids_BL.roll(-1, dims=1), torch.ones(ids_BL.shape, device=self.device)

        def run() -> None:
            with torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext():
                logits = model(ids_BL)
            (weighted_nats(logits, targets_BL, weights_BL) / ids_BL.numel()).backward()
            model.zero_grad()

        return run


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each length, shortest first."""
    device = torch.device(args.device)
    peak_flops = _peak_flops(device, args.precision)
    expected: dict[str, float] = {}
    before = 0
    for length in sorted(args.lengths):
        sides = Sides(args, length)
        growth = (length * sides.batch) / before if before else 1.0
        runs, peaks, first = {}, {}, {}
        for name, build in sides.builds().items():
            power = 2 if name == "attention" else 1
            too_long = expected.get(name, 0.0) * growth**power > args.limit
            if name != "ours" and (too_long or not _fits(sides)):
                continue
            try:
                runs[name], peaks[name], first[name] = _warmed_up(build, device)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
        medians = interleaved(runs, device, args.repeats if expected.get("ours", 0.0) * growth <= args.limit else 1)
        expected = {name: medians.get(name, float("inf")) for name in sides.builds()}
        before = length * sides.batch
        del runs
        row = _row(sides, medians, peaks, peak_flops)
        row["compiling_seconds"] = first["compiled"] - medians["compiled"] if "compiled" in medians else None
        yield row if args.alone else row | {"conv_ms": _convolutions(sides)}


def _row(sides: Sides, medians: dict[str, float], peaks: dict[str, int], peak_flops: float) -> dict[str, Any]:
    config, tokens = sides.config(sides.length), sides.length * sides.batch
    flops = train_flops_per_token(config, sides.length, sides.batch) * tokens / medians["ours"]
    shape = MicroStepShape(sides.batch, sides.length, sides.bf16, on_cpu=sides.device.type == "cpu")
    odd = tokens / (tokens - sides.batch)
    return {
        "length": sides.length,
        "batch": sides.batch,
        "seconds": medians,
        "ratios": {
            name: taken / medians["ours"] * (odd if name == "reference_odd" else 1.0)
            for name, taken in medians.items()
            if name != "ours"
        },
        "tokens_per_second": tokens / medians["ours"],
        "tflops": flops / 1e12,
        "mfu": flops / peak_flops,
        "kept_bytes_per_token": saved_bytes(config, shape, sides.args.checkpointing) / tokens,
        "peak_bytes": peaks,
    }


def _convolutions(sides: Sides) -> dict[str, float]:
    """Milliseconds of the gated long convolution of one layer, by way."""
    dtype = torch.bfloat16 if sides.bf16 else torch.float32
    runs = {
        name: gated(conv, sides.batch, sides.args.width, sides.length, dtype, sides.device)
        for name, conv in ways(sides.length, dtype, sides.device).items()
    }
    for run in runs.values():
        run()
    return {name: 1e3 * taken for name, taken in interleaved(runs, sides.device, sides.args.repeats).items()}


def _warmed_up(build: Callable[[], Run], device: torch.device) -> tuple[Run, int, float]:
    """A run that has run; the bytes of its peak, of its tensors or, on a CPU, of the process so far; its seconds."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    run = build()
    taken = seconds(run, device)
    if device.type == "cuda":
        return run, torch.cuda.max_memory_allocated(device) - before, taken
    return run, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, taken


def _fits(sides: Sides) -> bool:
    """Whether a CPU's memory suffices: there, what does not fit kills the process."""
    if sides.device.type != "cpu":
        return True
    need: int = sides.batch * sides.length * sides.args.width * sides.args.layers * BYTES_PER_TOKEN
    return need < 0.6 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _peak_flops(device: torch.device, precision: str) -> float:
    """FLOP/s of dense products: by the data sheet, or, where none is known, of one large product here and now."""
    known = device_called(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    if known and (peak := known.peak_flops(precision)):
        return peak
    size = 2048
    square = torch.ones(size, size, dtype=torch.bfloat16 if precision == "bf16" else torch.float32, device=device)
    torch.mm(square, square)
    return 2 * size**3 / min(seconds(lambda: torch.mm(square, square), device) for _ in range(5))


def _line(row: dict[str, Any]) -> str:
    conv, ratios = row.get("conv_ms", {}), row["ratios"]

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    peak = row["peak_bytes"]["ours"] / 2**30
    return (
        f"{row['length']:>9,} {row['batch']:>3} {row['seconds']['ours']:>9.4f} {row['tokens_per_second']:>10,.0f} "
        f"{row['tflops']:>8.3f} {row['mfu']:>6.1%} {number(ratios.get('reference'), '.2f'):>10} "
        f"{number(ratios.get('reference_odd'), '.2f'):>10} {number(ratios.get('compiled'), '.2f'):>10} "
        f"{number(row['compiling_seconds'], '.0f'):>9} {number(ratios.get('attention'), '.2f'):>10} "
        f"{row['kept_bytes_per_token']:>10,.0f} {peak:>9.2f} {number(conv.get('ours'), '.2f'):>9} "
        f"{number(conv.get('torch'), '.2f'):>9} {number(conv.get('flash'), '.2f'):>9}"
    )


HEAD = (
    f"{'':>9} {'':>3} {'ours':>9} {'':>10} {'':>8} {'':>6} {'beside: reference at':>21} {'ours':>10} {'compiling':>9} "
    f"{'':>10} {'kept B':>10} {'':>9} {'gated convolution, ms':>29}\n"
    f"{'context':>9} {'B':>3} {'s':>9} {'tokens/s':>10} {'TFLOP/s':>8} {'MFU':>6} {'L':>10} {'L - 1':>10} "
    f"{'compiled':>10} {'s':>9} {'attention':>10} {'per token':>10} {'peak GiB':>9} "
    f"{'ours':>9} {'torch':>9} {'flash':>9}"
)


def main() -> None:
    """Print the conditions, then one line per length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    powers = [2**10, 2**13, 2**15, 2**17, 2**20]
    parser.add_argument("--lengths", type=int, nargs="+", default=powers, help="default 1,024 to 1,048,576")
    parser.add_argument("--width", type=int, default=128, help="d_model (default 128)")
    parser.add_argument("--layers", type=int, default=2, help="n_layer (default 2)")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations: ours and attention's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each side (default 3)")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds of a step that is still taken (default 30)")
    parser.add_argument("--reference", type=Path, help="path to the reference's standalone_hyenadna.py")
    parser.add_argument("--alone", action="store_true", help="our model only, for the process's peak memory")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    on = conditions(torch.device(args.device))
    print(", ".join(f"{key} {value}" for key, value in on.items()), f"{args.layers} x {args.width}, {args.precision}")
    print(HEAD)
    found = []
    for row in rows(args):
        found.append(row)
        print(_line(row), flush=True)
        if args.out:
            args.out.write_text(json.dumps({"conditions": on, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
