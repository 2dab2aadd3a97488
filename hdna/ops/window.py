"""The window of the implicit filter: exponential decay, and a floor.

Shapes: C channels, T positions.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.ops import kernels


def windowed(taps: Tensor, time: Tensor, decay: Tensor, shift: float) -> Tensor:
    """The taps times their window.

    Args:
        taps: (C, T), fp32 (or fp64).
        time: (T,) from 0 to 1 over the context that the model was first trained for.
        decay: (C,) rate of each channel, at least 0, per unit of time.
        shift: the floor, which the window approaches.

    Gradients: of the taps alone.

    """
    if not kernels.run_on(taps):
        return taps * (torch.exp(-time * decay[:, None]) + shift)
    result: Tensor = _Windowed.apply(taps, time, decay, shift)  # type: ignore[no-untyped-call]
    return result


class _Windowed(torch.autograd.Function):
    """Both passes by the kernel."""

    @staticmethod
    def forward(ctx: Any, taps: Tensor, time: Tensor, decay: Tensor, shift: float) -> Tensor:  # noqa: ANN401
        from hdna.ops.kernels import window

        ctx.save_for_backward(time, decay)
        ctx.shift = shift
        return window.windowed(taps, time, decay, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        from hdna.ops.kernels import window

        time, decay = ctx.saved_tensors
        return window.windowed(gradient, time, decay, ctx.shift), None, None, None
