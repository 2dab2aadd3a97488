"""Honest timing for the benches: interleaved, median, and finished on the device before the clock is read."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import torch


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """How long `run` takes, from an idle device to an idle device."""
    synchronize(device)
    began = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - began


def interleaved(runs: Mapping[str, Callable[[], object]], device: torch.device, repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns so that a busy machine slows all alike.

    Each has run before: FFT plans, compiled kernels and cached memory are there.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            taken[name].append(seconds(run, device))
    return {name: statistics.median(times) for name, times in taken.items()}


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def conditions(device: torch.device) -> dict[str, str | int]:
    """What a figure depends on besides the code."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    allocator = os.environ.get("LD_PRELOAD") or " ".join(platform.libc_ver())
    tuned = {key: value for key, value in os.environ.items() if key.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    return {
        "device": name,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "allocator": " ".join([allocator, *(f"{key}={value}" for key, value in tuned.items())]),
    }
