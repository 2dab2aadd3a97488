"""GPU kernels in Triton, each behind the operation it speeds up; without Triton or a GPU, that operation runs in torch.

The same kernels run on a CPU through Triton's interpreter (TRITON_INTERPRET=1), for tests.
"""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def run_on(x: Tensor) -> bool:
    """Whether kernels compute what x is an input of. They are fp32 inside; torch brings Triton along on GPUs.

    Not under torch.compile, which makes kernels of its own and joins them with their neighbours.
    """
    if torch.compiler.is_compiling():
        return False
    return x.device.type == "cuda" and x.dtype != torch.float64 and _has_triton()


def by_position(tensor: Tensor) -> Tensor:
    """The same with positions, its last dimension, next to each other in memory."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
