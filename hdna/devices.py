"""Accelerators whose data sheets are known: dense rates, without sparsity."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Device:
    """One worker's device. An unknown rate is None: no time is estimated."""

    name: str
    memory_bytes: int
    """In total; a data sheet's GB are 1e9 bytes."""
    torch_name: str | None = None
    """What torch calls it, and so environment.json. PCIe and NVL cards of the same chip, and parts of one (MIG), have
    other names and other rates."""
    bf16_flops: float | None = None
    """FLOP/s of dense bf16 matrix products."""
    fp32_flops: float | None = None
    """FLOP/s in fp32; torch does not use TF32 by default."""
    memory_rate: float | None = None
    """Bytes per second to and from device memory."""
    link_rate: float | None = None
    """Bytes per second a device can send to others in its node (NVLink), one way."""

    processors: int = 0
    """Of a CPU: those that its workers share."""

    @property
    def is_gpu(self) -> bool:
        """Whether torch runs CUDA there."""
        return self.torch_name is not None

    def peak_flops(self, precision: str) -> float | None:
        """FLOP/s of dense matrix products in a recipe's `parallel.precision`."""
        return self.bf16_flops if precision == "bf16" else self.fp32_flops


DEVICES = {
    "h200": Device("H200 SXM 141 GB", 141 * 10**9, "NVIDIA H200", 989e12, 67e12, 4.8e12, 450e9),
    "h100": Device("H100 SXM 80 GB", 80 * 10**9, "NVIDIA H100 80GB HBM3", 989e12, 67e12, 3.35e12, 450e9),
    "a100": Device("A100 SXM 80 GB", 80 * 10**9, "NVIDIA A100-SXM4-80GB", 312e12, 19.5e12, 2.04e12, 300e9),
    "a100-40gb": Device("A100 SXM 40 GB", 40 * 10**9, "NVIDIA A100-SXM4-40GB", 312e12, 19.5e12, 1.555e12, 300e9),
}


def device_called(torch_name: str | None) -> Device | None:
    """The device of a run by the name in its environment.json; None if its data sheet is not known."""
    return next((device for device in DEVICES.values() if device.torch_name == torch_name), None)


def describe_device(device: "torch.device") -> str:
    """The accelerator as torch calls it, or the CPU with its threads."""
    import torch  # preparing data needs none

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread(s) of {os.cpu_count()}"


def machine_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpu_share(memory_bytes: int, workers: int) -> Device:
    """A worker's share of one machine's memory, if all workers run there. Its rates are unknown."""
    name = f"CPU, 1 of {workers} worker(s) on this machine"
    return Device(name, memory_bytes // workers, processors=os.cpu_count() or 1)
