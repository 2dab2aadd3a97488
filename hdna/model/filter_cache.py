"""The taps of the implicit filters, generated once for all micro steps of an optimizer step.

Shapes: O long convolutions of an operator, D channels, S positions.

A filter depends on weights and positions, not on data: every micro step of an optimizer step needs the same one. It is
generated in the first micro step; its gradient is accumulated over the others and backpropagated through the filter's
MLP once, in the last.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MicroStep:
    """A forward pass's position among those of its optimizer step; by default the only one."""

    first: bool = True
    last: bool = True


class FilterCache:
    """One operator's taps over the micro steps of an optimizer step."""

    def __init__(self, generate: Callable[[int, int], Tensor]) -> None:
        self._generate = generate
        self._live: Tensor | None = None
        """The taps with their graph, consumed by the step's last micro step."""
        self._leaf: Tensor | None = None
        """The same values without the graph, accumulating gradients of all micro steps but the last."""

    def __call__(self, start: int, stop: int, micro_step: MicroStep) -> Tensor:
        """Taps [start, stop) as (O, D, S) in fp32."""
        if not torch.is_grad_enabled() or (micro_step.first and micro_step.last):
            return self._generate(start, stop)
        if micro_step.first:
            self._live = self._generate(start, stop)
            self._leaf = self._live.detach().requires_grad_()
            # A first gradient would be kept as it is, in memory that CUDA graphs write to again (`graphed`).
            self._leaf.register_hook(lambda gradient: None if gradient is None else gradient.clone())
        live, leaf = self._live, self._leaf
        assert live is not None and leaf is not None, "a step's first micro step comes first"
        if not micro_step.last:
            return leaf
        self._live = self._leaf = None
        live.register_hook(lambda gradient: gradient if leaf.grad is None else gradient + leaf.grad)
        return live
