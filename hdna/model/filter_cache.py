"""The taps of the implicit filters, generated once for all micro-steps of an optimizer step.

Shapes: O long convolutions of an operator, D channels, S positions.

A filter depends on the weights and on positions, not on the data: within an optimizer step every micro-step needs the
same one. It is generated in the step's first micro-step; its gradient is gathered over the others and sent back
through the filter's MLP once, in the last.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class MicroStep:
    """Where a forward pass stands among those of its optimizer step. By default it is the only one."""

    first: bool = True
    last: bool = True


class FilterCache:
    """One operator's taps over the micro-steps of an optimizer step."""

    def __init__(self, generate: Callable[[int, int], Tensor]) -> None:
        self._generate = generate
        self._live: Tensor | None = None
        """The taps with their graph; spent in the step's last micro-step."""
        self._leaf: Tensor | None = None
        """The same values without the graph: gathers the gradients of the micro-steps before the last."""

    def __call__(self, start: int, stop: int, micro_step: MicroStep, recompute: bool) -> Tensor:
        """Taps [start, stop) as (O, D, S) in fp32.

        `recompute`: generate them once more in the backward pass, instead of keeping the filter's hidden activations,
        which for narrow models are larger than everything else (nine times 64 numbers for each position).
        """
        if not torch.is_grad_enabled():
            return self._generate(start, stop)
        if micro_step.first:
            self._live = self._generated(start, stop, recompute)
            self._leaf = self._live.detach().requires_grad_()
        live, leaf = self._live, self._leaf
        assert live is not None and leaf is not None, "a step's first micro-step comes first"
        if not micro_step.last:
            return leaf
        self._live = self._leaf = None
        if not micro_step.first:
            live.register_hook(lambda gradient: gradient if leaf.grad is None else gradient + leaf.grad)
        return live

    def _generated(self, start: int, stop: int, recompute: bool) -> Tensor:
        if not recompute:
            return self._generate(start, stop)
        taps_ODS: Tensor = checkpoint(self._generate, start, stop, use_reentrant=False, preserve_rng_state=False)
        return taps_ODS
