"""Lower bounds on the time of a step: by matrix products, by device memory, and by the link between devices.

Real steps take longer than the largest bound; how much longer depends on kernels, overlap and the cluster.
"""

from dataclasses import dataclass

from hdna.config import ModelConfig, RunConfig
from hdna.data.curriculum import StagePlan
from hdna.model.memory import MicroStepShape, layer_bytes, recomputed_layer_bytes
from hdna.ops import smooth_size
from hdna_cluster.devices import Device


@dataclass(frozen=True)
class LowerBounds:
    """Seconds of one optimizer step below which no implementation of this model comes, by what limits it."""

    products: float
    """Matrix products of the layers at the device's dense peak in the recipe's precision."""
    memory: float
    """What a layer keeps is written and read once, and so is each real transform's signal."""
    link: float
    """What a rank sends, at the link's full rate; nothing of it hidden, nothing else on the link."""

    @property
    def seconds(self) -> float:
        """The longest: the three could at best overlap completely."""
        return max(self.products, self.memory, self.link)

    @property
    def limit(self) -> str:
        """Which one that is."""
        return max(("products", "memory", "link"), key=lambda name: getattr(self, name))


def lower_bounds(
    config: RunConfig, stage: StagePlan, shape: MicroStepShape, accumulation: int, sent_bytes: int, device: Device
) -> LowerBounds | None:
    """Bounds of a stage's step, None where the device's rates are unknown; a rank sends `sent_bytes` in each step."""
    peak = device.bf16_flops if config.parallel.precision == "bf16" else device.fp32_flops
    if peak is None or device.memory_rate is None or device.link_rate is None:
        return None
    each = product_flops_per_token(config.model, config.parallel.activation_checkpointing)
    products = each * config.optim.global_batch_tokens / config.parallel.workers
    moved = accumulation * moved_bytes(config, stage, shape)
    return LowerBounds(products / peak, moved / device.memory_rate, sent_bytes / device.link_rate)


def product_flops_per_token(model: ModelConfig, recompute: bool) -> float:
    """FLOPs per token of the layers' matrix products: 6 per weight of in_proj, out_proj and MLP.

    Where the forward runs again, 2 more per weight, but for fc2, whose result no gradient needs. The filter's products
    and the head's are left out: they are small, and in fp32.
    """
    d, streams = model.d_model, (model.order + 1) * model.d_model
    again = d * streams + d * d + d * model.mlp_width
    weights = again + d * model.mlp_width
    return model.n_layer * (6.0 * weights + (2.0 * again if recompute else 0.0))


def moved_bytes(config: RunConfig, stage: StagePlan, shape: MicroStepShape) -> float:
    """Bytes from and to device memory of one worker and micro step.

    Five real transforms for each sample and channel and three for each filter, of n fp32 numbers read and written;
    where the forward runs again and ranks do not share samples, two and one more. Activations are written and read;
    those that are recomputed are written twice.
    """
    model, recompute = config.model, config.parallel.activation_checkpointing
    again = recompute and not shape.shared
    transforms = (5 + 2 * again) * shape.batch + 3 + again
    channels = (model.order - 1) * model.d_model / stage.sequence_parallel
    transformed = transforms * channels * 2 * 4 * smooth_size(2 * stage.context_length - 1)
    layer = layer_bytes(model, shape)
    activations = 2 * layer + (max(0, layer - recomputed_layer_bytes(model, shape)) if recompute else 0)
    return model.n_layer * (transformed + activations)
