"""LayerNorm over channels; on a GPU by kernels that write it in the precision the next product wants.

Shapes: (..., D).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.ops import kernels


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The norm of x, times weight, plus bias; the arithmetic is fp32 (fp64 where x is).

    With kernels in the dtype of autocast where that is enabled: products would round it so in a pass of their own.
    Without, in the dtype of torch's own.
    """
    if not kernels.run_on(x):
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    result: Tensor = _LayerNorm.apply(x, weight, bias, eps, dtype)  # type: ignore[no-untyped-call]
    return result


class _LayerNorm(torch.autograd.Function):
    """Both passes by kernels."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        dtype: torch.dtype,
    ) -> Tensor:
        from hdna.ops.kernels import layer_norm as kernel

        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return kernel.forward(x, weight, bias, eps, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        from hdna.ops.kernels import layer_norm as kernel

        x, weight = ctx.saved_tensors
        return *kernel.backward(x, weight, ctx.eps, gradient), None, None
