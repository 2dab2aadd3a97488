"""Activation checkpointing of a block, except for what must not run twice.

`recomputed(block, ...)` keeps only the block's inputs and runs the block again in the backward pass. A function called
through `run_once` inside the block does not run again: its result, and what it saved for its own backward pass, are
kept. Collectives are called that way: recomputing them would double the traffic, and deadlock if ranks recompute in
different orders.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

Results = list[Tensor]
"""The results of `run_once` in one pass through one block, in call order."""

_current: ContextVar[tuple[Results, Iterator[Tensor] | None] | None] = ContextVar("pass through a block", default=None)


class _Pass(AbstractContextManager[None]):
    """Within it, `run_once` appends to `results`, or replays them."""

    def __init__(self, results: Results, replays: bool) -> None:
        self._results, self._replays = results, replays
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        replay = iter(self._results) if self._replays else None
        self._tokens.append(_current.set((self._results, replay)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _current.reset(self._tokens.pop())


def is_recomputed() -> bool:
    """Whether this is a pass through a block that runs twice, the first or the second."""
    return _pass() is not None


def is_replay() -> bool:
    """Whether a block is running again, for what its backward pass needs: nobody looks at its result."""
    current = _pass()
    return current is not None and current[1] is not None


def _pass() -> tuple[Results, Iterator[Tensor] | None] | None:
    """The current pass; none under torch.compile, which cannot trace context variables, and decides for itself."""
    return None if torch.compiler.is_compiling() else _current.get()


def recomputed(block: Callable[..., Tensor], *inputs: Any) -> Tensor:  # noqa: ANN401 - the block's own
    """`block(*inputs)`, its activations recomputed in the backward pass."""
    results: Results = []

    def passes() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return _Pass(results, replays=False), _Pass(results, replays=True)

    output: Tensor = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=passes)
    return output


def run_once(function: Callable[..., Tensor], *arguments: Any) -> Tensor:  # noqa: ANN401 - the function's own
    """`function(*arguments)`, run only once even if the enclosing block is recomputed; elsewhere a plain call."""
    current = _current.get()
    if current is None:
        return function(*arguments)
    results, replay = current
    if replay is not None:
        return next(replay)
    # The innermost hooks win: these keep the recomputation away from what the function saves.
    with saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
        output = function(*arguments)
    # A leaf that requires a gradient exactly if the output did, so that the recomputation saves the same tensors.
    results.append(output.detach().requires_grad_(output.requires_grad))
    return output
