"""Depthwise causal convolution over a few positions.

Shapes: B batch, C channels, L context (or slice) length, K taps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def short_conv(x: Tensor, weight: Tensor, bias: Tensor, halo: Tensor | None = None) -> Tensor:
    """Convolve each channel with its K taps, the last of which weights the current position.

    y[b, c, t] = bias[c] + sum over j < K of weight[c, j] * x[b, c, t - (K - 1) + j]

    Args:
        x: (B, C, L) input.
        weight: (C, K) taps.
        bias: (C,) constant added to each channel.
        halo: (B, C, K - 1), the positions before x, in the dtype of x: the end of the left neighbour's slice.
            None means zeros: x starts the sequence.

    Returns:
        y (B, C, L). Slices convolved with their halos are the slices of the whole result.

    """
    length, reach = x.shape[-1], weight.shape[-1] - 1
    weight_C1K = weight[:, None]
    if halo is None:
        # Padding both sides saves a padded copy of x; outputs that look past the end are cut off.
        return F.conv1d(x, weight_C1K, bias, padding=reach, groups=len(bias))[..., :length]
    return F.conv1d(torch.cat((halo, x), dim=-1), weight_C1K, bias, groups=len(bias))
