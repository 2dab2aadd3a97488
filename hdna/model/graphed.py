"""The blocks as CUDA graphs: one launch for the forward pass, one for the backward pass.

Shapes: B batch, L context length, D = d_model, O long convolutions of a block.

Passes forward and back launch hundreds of kernels a layer, 10 ms of Python and driver for each layer, whatever the size
of the batch; up to a quarter of a million positions an H200 computes faster than that. A graph is recorded once, with
the addresses of its inputs, and replayed: it fits steps of one shape, whose parameters stay in place.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hdna.config.schema import ParallelConfig

LARGEST = 2**18
"""Positions of the largest batch worth it: above, launches mostly hide behind the kernels, while the gradients of all
filters, which here live at once, take as much again as a sample's kept activations."""
_WARM_UPS = 2
"""Runs before recording: kernels are compiled and FFTs planned in the first, which a recording does not allow."""

Run = Callable[..., Tensor]
"""From x (B, L, D) and the filters (O, D, L) of each block to (B, L, D)."""


def can_replay(parallel: ParallelConfig, sequence_parallel: int) -> bool:
    """Whether a stage's blocks may be recorded on a GPU: they talk to no other rank, and parameters stay in place."""
    return parallel.cuda_graphs and parallel.zero_stage < 3 and sequence_parallel == 1


class GraphedBlocks:
    """Runs blocks of a stage of training: graphed for the first shape it meets, as they are for others."""

    def __init__(self, run: Run, parameters: Sequence[Tensor], largest: int = LARGEST) -> None:
        self._run, self._parameters, self._largest = run, tuple(parameters), largest
        self._shape: torch.Size | None = None
        self._recorded: _Recorded | None = None

    def __call__(self, x_BLD: Tensor, *filters: Tensor) -> Tensor:
        """Like `run`."""
        self._shape = self._shape or x_BLD.shape
        if x_BLD.shape != self._shape or x_BLD.shape[:2].numel() > self._largest:
            return self._run(x_BLD, *filters)
        if self._recorded is None or self._recorded.is_stale(self._parameters):
            self._recorded = None  # its memory goes before another's comes
            self._recorded = _Recorded(self._run, (x_BLD, *filters), self._parameters)
        y_BLD: Tensor = _Replayed.apply(self._recorded, x_BLD, *filters, *self._parameters)  # type: ignore[no-untyped-call]
        return y_BLD


class _Recorded:
    """Both passes as graphs, and the memory they read and write."""

    def __init__(self, run: Run, inputs: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
        self.inputs = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in inputs]
        self._addresses = _addresses(parameters)
        self._wanted = [tensor for tensor in (*self.inputs, *parameters) if tensor.requires_grad]
        kind = inputs[0].device.type
        # Without autocast's cache, which would hand the recording what a warm-up has rounded.
        precision = torch.autocast(
            kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False
        )
        with precision:
            self._warm_up(run)
            self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
            with _recording(self._forward):
                self._output = run(*self.inputs)
            self._gradient = torch.empty_like(self._output)
            with _recording(self._backward, pool=self._forward.pool()):
                found = iter(self._gradients(self._output, self._gradient))
        self._found = [next(found) if tensor.requires_grad else None for tensor in (*self.inputs, *parameters)]
        # What it holds for the backward pass stays in place in the graphs' memory.
        self._output = self._output.detach()

    def _warm_up(self, run: Run) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                output = run(*self.inputs)
                self._gradients(output, torch.zeros_like(output))
                del output
        torch.cuda.current_stream().wait_stream(stream)

    def _gradients(self, output: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(output, self._wanted, gradient, allow_unused=True)

    def is_stale(self, parameters: Sequence[Tensor]) -> bool:
        """Whether parameters have moved in memory."""
        return self._addresses != _addresses(parameters)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """The result, in memory that the next pass overwrites."""
        for place, tensor in zip(self.inputs, inputs, strict=False):
            place.detach().copy_(tensor)
        self._forward.replay()
        return self._output.detach()

    def backward(self, gradient: Tensor) -> list[Tensor | None]:
        """The gradients of inputs, in memory that the next pass overwrites, and of parameters, as copies to keep."""
        self._gradient.copy_(gradient)
        self._backward.replay()
        count = len(self.inputs)
        return [*self._found[:count], *(None if share is None else share.clone() for share in self._found[count:])]


class _Replayed(torch.autograd.Function):
    """The graphs, as autograd sees them."""

    @staticmethod
    def forward(ctx: Any, recorded: _Recorded, *tensors: Tensor) -> Tensor:  # noqa: ANN401
        ctx.recorded = recorded
        return recorded.forward(tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return None, *ctx.recorded.backward(gradient)


def _recording(graph: torch.cuda.CUDAGraph, **memory: Any) -> AbstractContextManager[None]:  # noqa: ANN401
    """Of this thread alone: NCCL's watchdog asks about events at any time, which would end a global recording."""
    recording: AbstractContextManager[None] = torch.cuda.graph(graph, capture_error_mode="thread_local", **memory)
    return recording


def _addresses(parameters: Sequence[Tensor]) -> tuple[int, ...]:
    return tuple(parameter.data_ptr() for parameter in parameters)
