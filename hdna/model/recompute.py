"""Activation checkpointing of a block, except for what must not run twice.

`recomputed(block, ...)` keeps only the block's inputs and runs it once more in the backward pass. A function called
through `kept` inside the block does not run again: its result, and what it saved for its own backward pass, stay.
Collectives are called that way: a recomputation that waits for other ranks would double the traffic, and hang where
ranks recompute in different orders.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint


class _Keeper:
    """The kept results of one pass through one block, in the order of their calls."""

    def __init__(self) -> None:
        self.results: list[Tensor] = []


class _Pass(AbstractContextManager[None]):
    """Within it, `kept` records into a keeper, or replays from it."""

    def __init__(self, keeper: _Keeper, replays: bool) -> None:
        self._keeper, self._replays = keeper, replays
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        replay = iter(self._keeper.results) if self._replays else None
        self._tokens.append(_current.set((self._keeper, replay)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _current.reset(self._tokens.pop())


_current: ContextVar[tuple[_Keeper, Iterator[Tensor] | None] | None] = ContextVar("pass through a block", default=None)


def recomputed(block: Callable[..., Tensor], *inputs: Any) -> Tensor:  # noqa: ANN401 - the block's own
    """`block(*inputs)`, its activations recomputed in the backward pass."""
    keeper = _Keeper()

    def passes() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return _Pass(keeper, replays=False), _Pass(keeper, replays=True)

    result: Tensor = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=passes)
    return result


def kept(function: Callable[..., Tensor], *arguments: Any) -> Tensor:  # noqa: ANN401 - the function's own
    """`function(*arguments)`, run once though the block around it is recomputed; elsewhere a plain call."""
    current = _current.get()
    if current is None:
        return function(*arguments)
    keeper, replay = current
    if replay is not None:
        return next(replay)
    # The innermost hooks count: these take what the function saves out of the recomputation's hands.
    with saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
        result = function(*arguments)
    # A leaf that wants a gradient where the result did: so the recomputation saves the same tensors.
    keeper.results.append(result.detach().requires_grad_(result.requires_grad))
    return result
