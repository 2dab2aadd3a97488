"""The gated long convolution, forward and backward, beside torch.fft under autograd as the reference writes it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hdna.benchmark.timing import interleaved
from hdna.ops import causal_fft_conv

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
                "ours": _gated(causal_fft_conv, batch, length, dtype, device),
                "torch_fft": _gated(_by_torch, batch, length, dtype, device),
            }
            for run in runs.values():
                run()
            medians = interleaved(runs, device, 3)
            row: dict[str, Any] = {"length": length, "batch": batch, "dtype": str(dtype).removeprefix("torch.")}
            row |= {f"{name}_ms": 1e3 * value for name, value in medians.items()}
            rows.append(row | {"ratio": medians["torch_fft"] / medians["ours"]})
    return {"rows": rows, "problems": []}


def _gated(
    conv: Callable[[Tensor, Tensor, Tensor], Tensor], batch: int, length: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """Y = x0 · conv(x1 · v), and all gradients."""
    streams = [torch.randn(batch, CHANNELS, length, device=device, dtype=dtype, requires_grad=True) for _ in range(3)]
    k_DL = torch.randn(CHANNELS, length, device=device, requires_grad=True)
    bias_D = torch.randn(CHANNELS, device=device, requires_grad=True)
    dy_BDL = torch.randn(batch, CHANNELS, length, device=device, dtype=dtype)

    def run() -> None:
        first, gate, v = streams
        y_BDL = first * conv(v * gate, k_DL, bias_D).to(dtype)
        torch.autograd.grad(y_BDL, [*streams, k_DL, bias_D], dy_BDL)

    return run


def _by_torch(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
    """FFTs of size 2L, their backward left to autograd."""
    u_BDL, n = u_BDL.float(), 2 * u_BDL.shape[-1]
    spectrum = torch.fft.rfft(u_BDL, n=n) * torch.fft.rfft(k_DL, n=n)
    y_BDL: Tensor = torch.fft.irfft(spectrum, n=n)[..., : u_BDL.shape[-1]] + u_BDL * bias_D[:, None]
    return y_BDL
