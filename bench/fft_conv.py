"""Time the long convolution, forward and backward, beside autograd's in one process.

Columns: ours; plain rfft under autograd at 2L; the same at the reference's length 2^k - 1, whose FFT size 2L may have
large prime factors. Each figure is the best of several interleaved runs, so that a busy machine slows all three alike.

Example: OMP_NUM_THREADS=1 python bench/fft_conv.py --threads 1
"""

import argparse
import os
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hdna.ops import causal_fft_conv
from hdna.ops.fft_conv import CPU_BUFFER_BYTES

CASES = ((8, 128, 1023), (8, 128, 1024), (1, 128, 16383), (1, 128, 16384), (1, 32, 131072))
"""(B, D, L) of each row."""


def autograd_conv(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
    """The textbook way: zero-pad to 2L, multiply spectra, leave the backward pass to autograd."""
    length = u_BDL.shape[-1]
    spectrum = torch.fft.rfft(u_BDL, n=2 * length) * torch.fft.rfft(k_DL, n=2 * length)
    y_BDL: Tensor = torch.fft.irfft(spectrum, n=2 * length)[..., :length] + u_BDL * bias_D[:, None]
    return y_BDL


def once(function: Callable[[Tensor, Tensor, Tensor], Tensor], inputs: list[Tensor], dy_BDL: Tensor) -> float:
    """Milliseconds of one forward and backward pass."""
    begun = time.perf_counter()
    torch.autograd.grad(function(*inputs), inputs, dy_BDL)
    return 1e3 * (time.perf_counter() - begun)


def measure(batch: int, channels: int, length: int, repeats: int) -> tuple[float, float, float]:
    """Best milliseconds of ours at L, autograd at L, and autograd at the largest 2^k - 1 that is at most L."""
    reference_length = 2 ** (length + 1).bit_length() // 2 - 1
    best = [float("inf")] * 3
    runs = ((causal_fft_conv, length), (autograd_conv, length), (autograd_conv, reference_length))
    cases = []
    for function, size in runs:
        shapes = ((batch, channels, size), (channels, size), (channels,))
        cases.append((function, [torch.randn(s, requires_grad=True) for s in shapes], torch.randn(shapes[0])))
    for _ in range(repeats + 1):  # the first makes FFT plans, so it is never the best
        for i, case in enumerate(cases):
            best[i] = min(best[i], once(*case))
    return best[0], best[1], best[2]


def main() -> None:
    """Print the conditions, then one line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each; the best counts (default 3)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    allocator = os.environ.get("LD_PRELOAD") or " ".join(platform.libc_ver())
    print(
        f"torch {torch.__version__}, CPU {platform.machine()}, {args.threads} threads, fp32, allocator {allocator}, "
        f"working buffers {CPU_BUFFER_BYTES / 2**20:.0f} MiB; ms forward + backward, best of {args.repeats}"
    )
    print(f"{'B':>3} {'D':>4} {'L':>7} {'ours':>9} {'autograd 2L':>12} {'ratio':>6} {'at 2^k - 1':>11} {'ratio':>6}")
    for batch, channels, length in CASES:
        ours, plain, reference = measure(batch, channels, length, args.repeats)
        print(
            f"{batch:3d} {channels:4d} {length:7d} {ours:9.1f} {plain:12.1f} {plain / ours:6.2f} "
            f"{reference:11.1f} {reference / ours:6.2f}"
        )


if __name__ == "__main__":
    main()
