"""The gated long convolution, forward and backward, beside torch.fft under autograd and FlashFFTConv, if installed."""

from typing import Any

import torch
from long_conv import gated, ways

from hdna.benchmark.timing import interleaved

CASES = ((8192, 16), (32768, 4), (131072, 1), (2**20, 1))
"""Context length and samples, of 256 channels."""
REDUCED = ((256, 2),)
CHANNELS = 256


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """Milliseconds of each, in fp32 and with bf16 input."""
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for length, batch in REDUCED if reduced else CASES:
            runs = {
                name: gated(conv, batch, CHANNELS, length, dtype, device)
                for name, conv in ways(length, dtype, device).items()
            }
            for run in runs.values():
                run()
            medians = interleaved(runs, device, 3)
            row: dict[str, Any] = {"length": length, "batch": batch, "dtype": str(dtype).removeprefix("torch.")}
            row |= {f"{name}_ms": 1e3 * value for name, value in medians.items()}
            rows.append(row | {"ratio": medians["torch"] / medians["ours"]})
    return {"rows": rows, "problems": []}
