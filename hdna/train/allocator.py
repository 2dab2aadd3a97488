"""Memory of a worker: how much it took, and the C library's allocator, told to keep what is freed for the next tensor.

By default glibc maps every tensor above 32 MiB anew and returns it when freed, so that each one's pages fault in again:
7.5 s of a step of 131,072 tokens instead of 5.9, on two cores (`python bench/model_step.py --lengths 131072`).
"""

import ctypes
import os
import resource

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_NO_MAPPING_BELOW, _NO_TRIMMING_BELOW = 2**30, 2**31 - 1
_OF_THE_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Do so in this process; False, and nothing is changed, without glibc or where the environment has chosen."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(name in os.environ for name in _OF_THE_USER):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _NO_MAPPING_BELOW) and mallopt(_M_TRIM_THRESHOLD, _NO_TRIMMING_BELOW))


def return_freed_memory() -> None:
    """Give back what is free now: another stage has tensors of other sizes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_memory(device: torch.device) -> float:
    """Bytes: the accelerator's peak, or the process's peak resident size."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
