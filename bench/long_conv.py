"""The gated long convolution, y = x0 · conv(x1 · v), in several ways; for benches that time it forward and backward."""

from collections.abc import Callable

import torch
from torch import Tensor

from hdna.ops import causal_fft_conv

Conv = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From u (B, D, L), k (D, L) and bias (D,) to (B, D, L)."""


def by_torch(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
    """FFTs of size 2L, their backward pass left to autograd: how the reference writes it."""
    u_BDL, n = u_BDL.float(), 2 * u_BDL.shape[-1]
    spectrum = torch.fft.rfft(u_BDL, n=n) * torch.fft.rfft(k_DL, n=n)
    y_BDL: Tensor = torch.fft.irfft(spectrum, n=n)[..., : u_BDL.shape[-1]] + u_BDL * bias_D[:, None]
    return y_BDL


def by_flash_fft_conv(length: int, dtype: torch.dtype, device: torch.device) -> Conv | None:
    """FlashFFTConv's, where it is installed and takes the setting: a GPU, bf16, a power of two."""
    if device.type != "cuda" or dtype == torch.float32 or length & (length - 1):
        return None
    try:
        from flashfftconv import FlashFFTConv
    except ImportError:
        return None
    conv = FlashFFTConv(2 * length, dtype=dtype).to(device)
    return lambda u_BDL, k_DL, bias_D: conv(u_BDL, k_DL) + u_BDL * bias_D[:, None]


def ways(length: int, dtype: torch.dtype, device: torch.device) -> dict[str, Conv]:
    """All that run here, by name."""
    flash = by_flash_fft_conv(length, dtype, device)
    return {"ours": causal_fft_conv, "torch": by_torch} | ({"flash": flash} if flash else {})


def gated(
    conv: Conv, batch: int, channels: int, length: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """A run of both passes, on inputs of its own."""
    streams = [torch.randn(batch, channels, length, device=device, dtype=dtype, requires_grad=True) for _ in range(3)]
    k_DL = torch.randn(channels, length, device=device, requires_grad=True)
    bias_D = torch.randn(channels, device=device, requires_grad=True)
    dy_BDL = torch.randn(batch, channels, length, device=device, dtype=dtype)

    def run() -> None:
        first, gate, v = streams
        y_BDL = first * conv(v * gate, k_DL, bias_D).to(dtype)
        torch.autograd.grad(y_BDL, [*streams, k_DL, bias_D], dy_BDL)

    return run
