"""Expected step times: what was measured of this model, carried over to other recipes. The figures are in
bench/README.md, in the sections named here; where none fits, nothing is expected.
"""

from hdna.config import RunConfig
from hdna.devices import DEVICES, Device
from hdna.model.memory import MicroStepShape

TIMES_THE_BOUND = {DEVICES["h200"].name: 17.4}
"""Seconds of an optimizer step in bf16 over its lower bound, of one rank on the device. "On a GPU", the last table: the
median of seven steps of 131,072 to 4,194,304 tokens, 2 and 8 layers, widths 128 and 256, which lie between 16.3 and
20.6; before the present kernels, so that today's steps should be shorter."""
FILLED_TOKENS = 131_072
"""Of a micro step, in the smallest of them; with fewer, launches take time that no bound knows."""
FLOPS_PER_PROCESSOR = ((32_768, 0.034e12), (131_072, 0.029e12), (1_048_576, 0.019e12))
"""Model FLOP/s in fp32 of one of two cores of an AMD EPYC (AVX-512), up to each context. "The loop" and "The model step
on a CPU": 28,000 tokens/s of training at 1,024, 26,200 at 4,096; 25,495, 20,991 and 13,419 of the model beyond."""
SOURCES = (
    "Expected: by measurements in bench/README.md. On an H200, 17.4 times the bound (16.3 to 20.6 in seven steps of "
    "bf16, with older kernels), where a worker has at least 131,072 tokens in a micro step and samples are not shared. "
    "On a CPU, 0.034 TFLOP/s of fp32 for each processor (AMD EPYC, two cores; 0.019 at a million tokens). Unknown: "
    "nobody has measured it."
)


def expected_seconds(
    config: RunConfig,
    shape: MicroStepShape,
    context_length: int,
    step_flops: float,
    bound: float | None,
    device: Device,
) -> float | None:
    """Of an optimizer step, None if unknown; `bound` is its least, `step_flops` are those of all workers."""
    precision = config.parallel.precision
    if device.processors and precision == "fp32":
        rates = (rate for longest, rate in FLOPS_PER_PROCESSOR if context_length <= longest)
        rate = next(rates, None)
        return None if rate is None else step_flops / (rate * device.processors)
    times = TIMES_THE_BOUND.get(device.name)
    if times is None or bound is None or precision != "bf16" or shape.shared:
        return None
    return times * bound if shape.batch * shape.length >= FILLED_TOKENS else None
