"""Counts live memory: the bytes of every tensor made within a block of code and not yet freed."""

from collections.abc import Collection

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

from support.own_operators import run_within


class LiveBytes(TorchDispatchMode):
    """Sees the result of every operation, also inside autograd functions and recomputation.

    Hooks on saved tensors would miss what an inner hook, that of activation checkpointing, keeps elsewhere.
    """

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self._storages = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self,
        operation: OpOverload,
        types: Collection[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = {id(x.untyped_storage()) for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)}
        result = run_within(self, operation, args, kwargs)
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor) and id(tensor.untyped_storage()) not in given:
                self._storages[tensor.untyped_storage()] = None
        return result

    @property
    def total(self) -> int:
        """Bytes alive now."""
        return sum(storage.nbytes() for storage in self._storages)


class PeakBytes(LiveBytes):
    """Also keeps the most bytes that were alive after any operation; slower, since it counts after each one."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0

    def __torch_dispatch__(
        self,
        operation: OpOverload,
        types: Collection[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = super().__torch_dispatch__(operation, types, args, kwargs)
        self.peak = max(self.peak, self.total)
        return result
