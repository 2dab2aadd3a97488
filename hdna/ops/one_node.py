"""A function as one node of autograd's graph, which keeps the function's own graph from one pass to the other.

Left to autograd itself it would be as many nodes as it has operations, a little faster. But ZeRO reduces gradients in
the order in which they are ready; with several nodes that order was seen to differ between a rank without samples and
ranks that share samples, and one parameter's gradient to be taken for another's. Those of one node come at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import get_gradient_edge


def as_one_node(function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """`function(*tensors)`; where no gradient is wanted, a plain call."""
    if not torch.is_grad_enabled() or not any(tensor is not None and tensor.requires_grad for tensor in tensors):
        return function(*tensors)
    result: Tensor = _OneNode.apply(function, *tensors)  # type: ignore[no-untyped-call]
    return result


def autocast_of(x: Tensor) -> dict[str, Any]:
    """The precision in force on a tensor's device, as `torch.autocast` takes it."""
    kind = x.device.type
    return {"enabled": torch.is_autocast_enabled(kind), "dtype": torch.get_autocast_dtype(kind)}


class _OneNode(torch.autograd.Function):
    """Both passes. What is kept is let go of by the backward pass: the node itself lives as long as the loss."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(*tensors)
        ctx.function, ctx.precision = function, autocast_of(tensors[0])
        inputs, result = _own_graph(function, tensors, ctx.needs_input_grad[1:])
        ctx.kept = inputs, get_gradient_edge(result)  # without the result's values
        return result.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        needed = ctx.needs_input_grad[1:]
        if ctx.kept is None:  # a second pass, by retain_graph
            with torch.autocast(gradient.device.type, **ctx.precision):
                inputs, result = _own_graph(ctx.function, ctx.saved_tensors, needed)
            ctx.kept = inputs, get_gradient_edge(result)
        (inputs, end), ctx.kept = ctx.kept, None
        shares = iter(torch.autograd.grad(end, inputs, gradient))
        return None, *(next(shares) if wanted else None for wanted in needed)


def _own_graph(
    function: Callable[..., Tensor], tensors: Sequence[Tensor | None], needed: Sequence[bool]
) -> tuple[list[Tensor], Tensor]:
    """Those of the tensors that need a gradient, and the result of all of them."""
    inputs = [
        tensor if tensor is None else tensor.detach().requires_grad_(wanted)
        for tensor, wanted in zip(tensors, needed, strict=True)
    ]
    with torch.enable_grad():
        result = function(*inputs)
    return [tensor for tensor in inputs if tensor is not None and tensor.requires_grad], result
