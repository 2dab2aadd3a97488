"""Products with a weight where no gradient is wanted, on a CPU by oneDNN.

Shapes: N rows, I inputs, O outputs.

torch gives fp32 products to MKL, which on AMD leaves AVX-512 alone: 100 GFLOP/s on a core of an EPYC where oneDNN
reaches 200 (rows of 128 to 512 and back with GELU between: 1.4 µs a row instead of 3.7, one thread). oneDNN applies
GELU to a product before it is written.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdna.ops.gelu import gelu


def linear(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """The same as torch's, (N, O); with gradients on, on a GPU or in fp64, torch's own."""
    if not _by_onednn(x_NI):
        return F.linear(x_NI, weight_OI, bias_O)
    y_NO: Tensor = torch.ops.mkldnn._linear_pointwise(x_NI, weight_OI, bias_O, "none", [], "")
    return y_NO


def linear_gelu(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor) -> Tensor:
    """GELU, in its tanh form, of that."""
    if not _by_onednn(x_NI):
        return gelu(F.linear(x_NI, weight_OI, bias_O))
    y_NO: Tensor = torch.ops.mkldnn._linear_pointwise(x_NI, weight_OI, bias_O, "gelu", [], "tanh")
    return y_NO


def _by_onednn(x: Tensor) -> bool:
    """Whether the operator that torch's own compiler uses for this is there, and takes x."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()
    return plain and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
