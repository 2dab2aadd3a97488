"""What a save asks of an engine, of as few parameters as a test wants; and a save of them by ranks."""

from collections.abc import Iterator
from itertools import islice
from typing import cast

import torch

from hdna.checkpoint import RunState
from hdna.parallel import Mesh
from hdna.train.checkpointing import owned_tensors
from hdna.train.engine import Engine
from hdna.train.save import Save

SHAPES = {"c": (2,), "a": (4, 8), "b": (2,), "d": (3, 3), "e": (1,)}


class FewParameters:
    """Up to five; each element is another number, and each moment another one than its parameter."""

    def __init__(self, parameters: int) -> None:
        self._values = {
            name: torch.arange(torch.Size(shape).numel()).reshape(shape) + 100.0 * number
            for number, (name, shape) in enumerate(islice(SHAPES.items(), parameters))
        }

    def sizes(self) -> dict[str, int]:
        return {name: value.numel() for name, value in self._values.items()}

    def parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self._values.items()

    def moments(self, moment: str) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, value + len(moment)) for name, value in self._values.items())


def engine(parameters: int) -> Engine:
    return cast(Engine, FewParameters(parameters))


def save_few(run: str, parameters: int) -> None:
    """One save by all ranks, of step 1."""
    mesh = Mesh.of_this_process()
    Save(run, RunState(step=1), None, None).together(mesh, owned_tensors(engine(parameters), mesh))
