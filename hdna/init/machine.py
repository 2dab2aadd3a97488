"""The machine that a recipe is for: this one, its speed timed on a few real steps, or devices of a known kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from hdna.benchmark.measured import rate
from hdna.benchmark.pace import measured_flops
from hdna.config import ModelConfig
from hdna.devices import DEVICES, Device, cpu_share, device_called, machine_bytes
from hdna.errors import InputError

TIMED = (ModelConfig(d_model=128, n_layer=2, l_max=1024), ModelConfig(d_model=256, n_layer=2, l_max=1024))
"""The widths of the published sizes. Layers change a step's time, not the speed."""
_CONTEXT = 1024
_SAMPLES = {"cpu": 4, "cuda": 64}
LONGEST = 1 << 17
"""Context that is chosen for any size."""


@dataclass(frozen=True)
class Machine:
    """Workers of one kind, one device each."""

    device: Device
    workers: int = 1
    bf16: bool = False
    """Whether the device multiplies bfloat16 in hardware."""
    flops: Mapping[int, float] = field(default_factory=dict)
    """Model FLOP/s of a worker by d_model; empty: nobody has measured it."""
    source: str = "nobody has measured this device"
    """Where these are from."""
    timed: bool = True
    """Whether from this machine; else they are those of the longest context in `hdna.benchmark.measured`."""


def this_machine(workers: int | None = None) -> Machine:
    """The GPUs of this machine, or its processors as one worker; a few steps are timed. `workers` of them, or all."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device("cuda" if gpus else "cpu")
    bf16 = bool(gpus) and torch.cuda.is_bf16_supported(including_emulation=False)
    samples = _SAMPLES[device.type]
    flops = {model.d_model: measured_flops(model, _CONTEXT, samples, bf16, device) for model in TIMED}
    source = f"timed here: steps of {samples} x {_CONTEXT:,} tokens"
    if not gpus:
        count = workers or 1
        return Machine(cpu_share(machine_bytes(), count), count, flops=_shared(flops, count), source=source)
    found = torch.cuda.get_device_properties(0)
    known = device_called(found.name) or Device(found.name, found.total_memory, found.name)
    return Machine(known, workers or gpus, bf16, flops, source)


def known_machine(kind: str, workers: int | None = None) -> Machine:
    """Devices of a kind in hdna.devices, wherever they are, all of which have bfloat16."""
    device = DEVICES[kind]
    rates = {model.d_model: rate(device, "bf16", model.d_model, LONGEST) for model in TIMED}
    flops = {width: found for width, found in rates.items() if found}
    source = "as 'hdna plan' expects it, by measurements of that device" if flops else Machine.source
    return Machine(device, workers or 1, bf16=True, flops=flops, source=source, timed=False)


def refuse_unknown_speed(machine: Machine) -> None:
    """Raise InputError when no time can be said for the machine."""
    if not machine.flops:
        raise InputError(
            f"--hours: nobody has measured how fast {machine.device.name} trains: leave it out, or run hdna init on "
            f"that machine, which times a few steps"
        )


def _shared(flops: Mapping[int, float], workers: int) -> dict[int, float]:
    """Of each of several workers that share the processors."""
    return {width: rate / workers for width, rate in flops.items()}
