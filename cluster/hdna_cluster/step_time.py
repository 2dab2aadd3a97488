"""Lower bounds on step time: from matrix products, device memory, and the link between devices.

Real steps take longer than the largest bound; how much depends on kernels, overlap and the cluster.
"""

from dataclasses import dataclass

from hdna.config import ModelConfig, RunConfig
from hdna.data.curriculum import StagePlan
from hdna.devices import Device
from hdna.model.memory import MicroStepShape, layer_bytes, recomputed_layer_bytes
from hdna.ops import smooth_size


@dataclass(frozen=True)
class LowerBounds:
    """Seconds per optimizer step that no implementation of this model can beat, by limiting resource."""

    products: float
    """Matrix products of the layers at the device's dense peak in the recipe's precision."""
    memory: float
    """Each layer's kept activations, and each real transform's signal, written and read once."""
    link: float
    """A rank's messages at the link's full rate; none hidden, nothing else on the link."""

    @property
    def seconds(self) -> float:
        """The longest: at best, the three overlap completely."""
        return max(self.products, self.memory, self.link)

    @property
    def limit(self) -> str:
        """The limiting resource."""
        return max(("products", "memory", "link"), key=lambda name: getattr(self, name))


def lower_bounds(
    config: RunConfig, stage: StagePlan, shape: MicroStepShape, accumulation: int, sent_bytes: int, device: Device
) -> LowerBounds | None:
    """Bounds on a stage's step, None if the device's rates are unknown; a rank sends `sent_bytes` per step."""
    peak = device.peak_flops(config.parallel.precision)
    if peak is None or device.memory_rate is None or device.link_rate is None:
        return None
    each = product_flops_per_token(config.model, config.parallel.activation_checkpointing)
    products = each * config.optim.global_batch_tokens / config.parallel.workers
    moved = accumulation * moved_bytes(config, stage, shape)
    return LowerBounds(products / peak, moved / device.memory_rate, sent_bytes / device.link_rate)


def product_flops_per_token(model: ModelConfig, recompute: bool) -> float:
    """FLOPs per token of the layers' matrix products: 6 per weight of in_proj, out_proj and MLP, and those run again.

    2 per weight of in_proj and fc1, which the backward pass computes again in tiles; `recompute` adds 2 per weight of
    in_proj and out_proj. The filter's and head's products are excluded: they are small, and in fp32.
    """
    d, streams = model.d_model, (model.order + 1) * model.d_model
    into, out, mlp = d * streams, d * d, d * model.mlp_width
    again = into + mlp + (into + out if recompute else 0)
    return model.n_layer * (6.0 * (into + out + 2 * mlp) + 2.0 * again)


def moved_bytes(config: RunConfig, stage: StagePlan, shape: MicroStepShape) -> float:
    """Bytes to and from device memory per worker and micro step.

    Five real transforms per sample and channel and three per filter, each reading and writing n fp32 numbers; with
    recomputation and unshared samples, two and one more. Activations are written and read; recomputed ones are written
    twice.
    """
    model, recompute = config.model, config.parallel.activation_checkpointing
    again = recompute and not shape.shared
    transforms = (5 + 2 * again) * shape.batch + 3 + again
    channels = (model.order - 1) * model.d_model / stage.sequence_parallel
    transformed = transforms * channels * 2 * 4 * smooth_size(2 * stage.context_length - 1)
    layer = layer_bytes(model, shape)
    activations = 2 * layer + (max(0, layer - recomputed_layer_bytes(model, shape)) if recompute else 0)
    return model.n_layer * (transformed + activations)
