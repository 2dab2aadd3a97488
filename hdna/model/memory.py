"""Training memory in closed form, before anything is built: activations kept for the backward pass, and model state.

Shapes: B samples of one micro step, S positions on this rank (the whole context where samples are not shared),
N = B S, D = d_model, C = (order + 1) D, W = MLP width, O = order - 1 long convolutions, F = filter_order,
V vocabulary rows, s bytes per activation: 2 under bf16 autocast, 4 in fp32.

Derived from the code, operator by operator, and checked in tests against every live tensor. Excluded: the micro-batch
itself (20 bytes a position), and what the allocator and the communication library keep for themselves.
"""

from dataclasses import dataclass

from hdna.config.schema import ModelConfig
from hdna.genome.alphabet import EMBEDDING_ROWS
from hdna.model import backbone
from hdna.model.flops import parameter_count
from hdna.model.hyena import SHORT_TAPS
from hdna.ops.fft_conv import CUDA_BUFFER_BYTES

FP32 = 4
FFT_BUFFERS = 4
"""Simultaneous working buffers of a long convolution: two signals and two spectra."""


@dataclass(frozen=True)
class MicroStepShape:
    """What one rank computes in one forward and backward pass."""

    batch: int
    length: int
    """Positions; those of the slice if ranks share samples."""
    bf16: bool = False
    dealt: int | None = None
    """Numbers of one sample, channels times positions, on this rank while channels are distributed over the ranks
    (`all_to_all`); None: channels stay in place."""
    shared: bool = False
    """Whether ranks share samples, by either strategy."""
    accumulates: bool = False
    """Whether the optimizer step has several micro steps, over which filters and their gradients are kept."""

    @property
    def element_size(self) -> int:
        """Bytes of an activation."""
        return 2 if self.bf16 else FP32

    @property
    def positions(self) -> int:
        """N."""
        return self.batch * self.length


def saved_bytes(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """Bytes kept from the forward to the backward pass on one rank, all layers; `recompute`: with checkpointing.

    Outside the layers: the dropout mask (one byte an element), the final norm's input, statistics and output, the log
    probabilities, and two scalars of the loss.
    """
    d, n = config.d_model, shape.positions
    mask = n * d if config.embed_dropout else 0
    outside = mask + n * (d + 2) * FP32 + n * d * FP32 + n * EMBEDDING_ROWS * FP32 + 2 * FP32
    layer = recomputed_layer_bytes(config, shape) if recompute else layer_bytes(config, shape)
    return outside + config.n_layer * (layer + _over_micro_steps(config, shape, recompute))


def layer_bytes(config: ModelConfig, shape: MicroStepShape) -> int:
    """One layer that keeps its activations.

    Twice the residual stream (fp32), two statistics of each norm; inputs of in_proj, out_proj, fc1, fc2 and GELU; input
    and output of the short convolution, together two positions longer than twice the slice; input and output of each
    long convolution; the filter; the low-precision copies of the weights.
    """
    d, n, s = config.d_model, shape.positions, shape.element_size
    convolutions, streams = config.order - 1, (config.order + 1) * d
    residual = 2 * n * (d + 2) * FP32
    projections = 3 * n * d * s + 2 * n * config.mlp_width * s
    short = streams * shape.batch * (2 * shape.length + SHORT_TAPS - 1) * s
    outputs = convolutions * n * d * s
    return (
        residual
        + projections
        + short
        + outputs
        + _convolved(config, shape)
        + _filter(config, shape)
        + _casts(config, s)
    )


def recomputed_layer_bytes(config: ModelConfig, shape: MicroStepShape) -> int:
    """One layer under activation checkpointing: its two inputs, the residual stream and the filters.

    If ranks share samples, nothing that waits for other ranks runs twice: the long convolutions' inputs and outputs
    and the halo are kept too.
    """
    d, n, s = config.d_model, shape.positions, shape.element_size
    convolutions, streams = config.order - 1, (config.order + 1) * d
    inputs = n * d * FP32 + convolutions * d * shape.length * FP32
    if not shape.shared:
        return inputs
    halo = shape.batch * streams * (SHORT_TAPS - 1) * s
    whole_taps = convolutions * d * shape.length * FP32 if shape.dealt is None else 0
    return inputs + halo + convolutions * n * d * s + _convolved(config, shape) - whole_taps


def working_bytes(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """Temporary memory of the backward pass on an accelerator, on top of what is saved; an estimate.

    Two gradients as wide as the MLP, or as the streams if these are wider, and two of the residual stream; the FFT's
    buffers, signals padded to twice their length; with checkpointing, what one layer recomputes: first its block, whose
    MLP runs on a stretch of positions at a time, then its filter; and two messages of the size of the long
    convolution's input if ranks share samples. The peak of live tensors on small models was 0.6 to 0.95 of this plus
    the saved bytes.
    """
    d, n, s = config.d_model, shape.positions, shape.element_size
    stretch = shape.batch * min(shape.length, backbone.MLP_POSITIONS) if recompute else n
    gradients = 2 * max(stretch * config.mlp_width, n * (config.order + 1) * d) * s + 2 * n * d * FP32
    padded = 2 * shape.batch * (d * shape.length if shape.dealt is None else shape.dealt) * FP32
    hidden = _filter(config, shape)
    not_at_once = 2 * (n - stretch) * config.mlp_width * s
    block = layer_bytes(config, shape) - hidden - recomputed_layer_bytes(config, shape) - not_at_once
    layer = max(block, hidden) if recompute else 0
    messages = 2 * n * d * s if shape.shared else 0
    return gradients + FFT_BUFFERS * min(padded, CUDA_BUFFER_BYTES) + layer + messages


def state_bytes(config: ModelConfig, zero_stage: int, workers: int) -> tuple[int, int, int]:
    """Parameters (with the positional tables), gradients and optimizer state of one rank, all fp32.

    The optimizer has two moments, and under ZeRO 1 and 2 a copy of its share of the parameters. ZeRO 1 partitions the
    optimizer's state over all workers, 2 also gradients, 3 also parameters.
    """
    full = parameter_count(config) * FP32
    part = -(-full // workers)
    tables = (config.l_max * config.emb_dim + (config.order - 1) * config.d_model) * FP32
    parameters = part if zero_stage == 3 else full
    gradients = part if zero_stage >= 2 else full
    optimizer = 2 * (part if zero_stage else full) + (part if zero_stage in (1, 2) else 0)
    return parameters + tables, gradients, optimizer


def _convolved(config: ModelConfig, shape: MicroStepShape) -> int:
    """Inputs of the long convolutions and the taps they keep, as slices or distributed by channel."""
    numbers = config.d_model * shape.length if shape.dealt is None else shape.dealt
    return (config.order - 1) * numbers * (shape.batch * shape.element_size + FP32)


def _filter(config: ModelConfig, shape: MicroStepShape) -> int:
    """Three sine layers keep three tensors each; the product with the modulation keeps the latter."""
    hidden = 9 * shape.length * config.filter_order * FP32
    return hidden + (config.order - 1) * config.d_model * shape.length * FP32


def _over_micro_steps(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """The gradient of a layer's filters, accumulated over micro steps.

    Distributed by channel, their slice is kept as well; with checkpointing it is a layer input, counted there.
    """
    if not shape.accumulates:
        return 0
    taps = config.d_model * shape.length
    gathered = taps if shape.dealt is None else shape.dealt + (0 if recompute else taps)
    return (config.order - 1) * gathered * FP32


def _casts(config: ModelConfig, element_size: int) -> int:
    """bf16 copies of the layer's weight matrices and short convolution, which autocast makes; none in fp32."""
    if element_size == FP32:
        return 0
    d, streams = config.d_model, (config.order + 1) * config.d_model
    return element_size * (d * streams + d * d + 2 * d * config.mlp_width + SHORT_TAPS * streams)
