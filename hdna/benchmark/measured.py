"""How fast hdna was measured to train, in one table: `hdna plan`, `hdna init` and the warnings before a run go by it.

What nobody has measured is unknown, None, and nothing is expected of it. Sources are sections of bench/README.md.
"""

from dataclasses import dataclass

from hdna.config import RunConfig
from hdna.devices import DEVICES, Device
from hdna.model.memory import MicroStepShape

CPU = "CPU"
_H200 = DEVICES["h200"].torch_name or ""
_STEPS = '"On a GPU", nvidia-h200/steps: an optimizer step by DeepSpeed ZeRO 1, one rank, before the present kernels'
_LOOP_64 = '"The loop", make train: 49,000 tokens/s at 1,024 and 45,300 at 2,048, two layers of 64, two cores'
_LOOP = '"The loop", beside Ray: 28,700 tokens/s at 1,024 and 25,000 at 4,096, two layers of 128, two cores'
_STEP_ON_CPU = '"The model step on a CPU" less a tenth for the rest of a step: two layers of 128, two cores'


@dataclass(frozen=True)
class Rate:
    """Model FLOP/s of one worker, as `hdna.model.flops` counts them; of a CPU, of each of its processors."""

    device: str
    """As torch calls it, or CPU."""
    precision: str
    d_model: int | None
    """None: taken for every width."""
    context_length: int
    flops: float
    source: str


RATES = (
    Rate(_H200, "bf16", 256, 1_024, 47.0e12, _STEPS),
    Rate(_H200, "bf16", 256, 8_192, 43.5e12, _STEPS),
    Rate(_H200, "bf16", 256, 32_768, 35.9e12, _STEPS),
    Rate(_H200, "bf16", 256, 131_072, 29.8e12, _STEPS),
    Rate(_H200, "bf16", 256, 1_048_576, 27.1e12, _STEPS),
    Rate(_H200, "bf16", 256, 4_194_304, 25.5e12, _STEPS),
    Rate(_H200, "bf16", 128, 1_048_576, 11.8e12, _STEPS),
    Rate(CPU, "fp32", 64, 1_024, 0.018e12, _LOOP_64),
    Rate(CPU, "fp32", 64, 2_048, 0.019e12, _LOOP_64),
    Rate(CPU, "fp32", None, 1_024, 0.036e12, _LOOP),
    Rate(CPU, "fp32", None, 32_768, 0.032e12, _LOOP),
    Rate(CPU, "fp32", None, 131_072, 0.032e12, _STEP_ON_CPU),
    Rate(CPU, "fp32", None, 1_048_576, 0.026e12, _STEP_ON_CPU),
)
LAUNCH_S = 0.02
"""Seconds of a micro step on a GPU, however small. "On a GPU", nvidia-h200/model_step: 8 x 1,024 tokens, 8 layers;
fewer layers take less."""
SOURCES = (
    "Expected: by measurements in bench/README.md. On an H200 in bf16, 47 to 26 TFLOP/s at width 256 from a context "
    "of 1,024 to 4 million, 12 at width 128, with older kernels, and at least 0.02 s for a micro step; samples not "
    "shared. On a CPU, 0.036 to 0.026 TFLOP/s of fp32 for each processor (AMD EPYC, two cores) from a context of 1,024 "
    "to a million, 0.019 at width 64 up to 2,048. "
    "Unknown: nobody has measured it."
)


def rate(device: Device, precision: str, d_model: int, context_length: int) -> float | None:
    """Model FLOP/s of a worker (of a processor), that of the shortest measured context that is no shorter.

    Of two the one of this very width.
    """
    kind = CPU if device.processors else device.torch_name
    fitting = [
        row
        for row in RATES
        if (row.device, row.precision) == (kind, precision)
        and row.d_model in (None, d_model)
        and row.context_length >= context_length
    ]
    return min(fitting, key=lambda row: (row.context_length, row.d_model is None)).flops if fitting else None


def expected_seconds(
    config: RunConfig, shape: MicroStepShape, context_length: int, accumulation: int, step_flops: float, device: Device
) -> float | None:
    """Of an optimizer step, None if unknown; `step_flops` are those of all workers."""
    flops = rate(device, config.parallel.precision, config.model.d_model, context_length)
    if flops is None or (device.is_gpu and shape.shared):
        return None
    if device.processors:
        return step_flops / (flops * device.processors)
    return max(step_flops / (flops * config.parallel.workers), accumulation * LAUNCH_S)
