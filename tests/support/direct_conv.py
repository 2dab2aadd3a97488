"""The long convolution by its definition: the twin that fast ones are compared with."""

import torch
from torch import Tensor


def direct_conv(u_BDL: Tensor, k_DL: Tensor, bias_D: Tensor) -> Tensor:
    """Return k ∗ u + bias · u, causal: a lower triangular Toeplitz matrix of taps for each channel, O(L²)."""
    length = u_BDL.shape[-1]
    lag = torch.arange(length)[:, None] - torch.arange(length)
    taps_DLL = torch.where(lag >= 0, k_DL[:, lag.clamp(min=0)], 0)
    return torch.einsum("dts,bds->bdt", taps_DLL, u_BDL) + bias_D[:, None] * u_BDL
