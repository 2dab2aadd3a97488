"""The process group of a stage that trains: one rank, NCCL on a GPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist  # noqa: TID251 - the rank of a bench


@contextmanager
def one_rank(device: torch.device) -> Iterator[None]:
    """A group of this process alone, as a launcher would make it."""
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}  # DeepSpeed asks for them
    backend = "nccl" if device.type == "cuda" else "gloo"
    with TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()
