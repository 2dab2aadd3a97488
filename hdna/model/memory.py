"""Training memory in closed form, before anything is built: activations kept for the backward pass, and model state.

Shapes: B samples of one micro step, S positions on this rank (the whole context where samples are not shared),
N = B S, D = d_model, W = MLP width, O = order - 1 long convolutions, F = filter_order, V vocabulary rows, s bytes per
activation: 2 under bf16 autocast, 4 in fp32.

Derived from the code, operator by operator, and checked in tests against every live tensor. Excluded: the micro-batch
itself (20 bytes a position), and what the allocator and the communication library keep for themselves.
"""

from dataclasses import dataclass

from hdna.config.schema import ModelConfig
from hdna.genome.alphabet import EMBEDDING_ROWS
from hdna.model.flops import parameter_count
from hdna.ops import tiled
from hdna.ops.fft_conv import CUDA_BUFFER_BYTES
from hdna.ops.short_conv import REACH

FP32 = 4
FFT_BUFFERS, LONG_FFT_BUFFERS, LONG_FFT = 4, 7, 2**15
"""Simultaneous working buffers of a long convolution: two signals and two spectra; above so many points cuFFT adds work
space of its own (fitted to peaks on an H200)."""


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
    graphed: bool = False
    """Whether the blocks are replayed as CUDA graphs."""
    accumulates: bool = False
    """Whether the optimizer step has several micro steps, over which filters and their gradients are kept."""
    on_cpu: bool = False
    """Where nothing runs twice that a single tile holds (`hdna.ops.tiled`)."""

    @property
    def element_size(self) -> int:
        """Bytes of an activation."""
        return 2 if self.bf16 else FP32

    @property
    def positions(self) -> int:
        """N."""
        return self.batch * self.length

    @property
    def keeps_all(self) -> bool:
        """Whether autograd keeps what lies between a layer's convolutions."""
        return self.on_cpu and self.positions <= tiled.CPU_TILE

    @property
    def keeps_filters(self) -> bool:
        """Whether it keeps what lies between a filter's positions and its taps."""
        return self.on_cpu and self.length <= tiled.CPU_TILE


def saved_bytes(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """Bytes kept from the forward to the backward pass on one rank, all layers; `recompute`: with checkpointing.

    Outside the layers: the dropout mask (one byte an element), the final norm's input, the log probabilities, and two
    scalars of the loss; the final norm's statistics and result, if they are kept.
    """
    d, n = config.d_model, shape.positions
    mask = n * d if config.embed_dropout else 0
    outside = mask + n * d * FP32 + n * EMBEDDING_ROWS * FP32 + 2 * FP32
    if shape.keeps_all:
        outside += n * (d + 2) * FP32
    layer = recomputed_layer_bytes(config, shape) if recompute else layer_bytes(config, shape)
    if not recompute:
        layer += _between(config, shape) + _within_halo(config, shape)
    layer += _within_filters(config, shape) + _over_micro_steps(config, shape, recompute)
    return outside + config.n_layer * layer


def layer_bytes(config: ModelConfig, shape: MicroStepShape) -> int:
    """One layer that keeps its activations.

    The residual stream before and between its two halves; inputs, filters and results of the long convolutions; the
    halo, if ranks share samples. All else runs again in the backward pass, in tiles, or is kept as well (`_between`).
    """
    d, n, s = config.d_model, shape.positions, shape.element_size
    convolutions = config.order - 1
    return 2 * n * d * FP32 + _convolved(config, shape) + convolutions * n * d * s + _halo(config, shape)


def recomputed_layer_bytes(config: ModelConfig, shape: MicroStepShape) -> int:
    """One layer under activation checkpointing: its two inputs, the residual stream and the filters.

    If ranks share samples, nothing that waits for other ranks runs twice: the long convolutions' inputs and outputs
    and the halo are kept too.
    """
    d, n, s = config.d_model, shape.positions, shape.element_size
    convolutions = config.order - 1
    inputs = n * d * FP32 + convolutions * d * shape.length * FP32
    if not shape.shared:
        return inputs
    whole_taps = convolutions * d * shape.length * FP32 if shape.dealt is None else 0
    return inputs + _halo(config, shape) + convolutions * n * d * s + _convolved(config, shape) - whole_taps


def working_bytes(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """Temporary memory of the backward pass on an accelerator, on top of what is saved; an estimate.

    The largest of three moments, in the last layer. At the head: gradients of the logits and of its input. In the MLP:
    that gradient and the next one, a tile, and what checkpointing has computed again. In the long convolution:
    gradients of the residual stream, of its result, its input and its filter, and the FFT's buffers, without the MLP's
    input and its own result. At the latter two the head's input and probabilities are gone. If ranks share samples, two
    messages of the size of the long convolution's input besides.
    """
    d, n, s = config.d_model, shape.positions, shape.element_size
    outside = n * (d + EMBEDDING_ROWS) * FP32
    again = layer_bytes(config, shape) - recomputed_layer_bytes(config, shape) if recompute else 0
    mlp = again + 2 * n * d * FP32 + _tile(config, shape, recompute)
    filters = (config.order - 1) * d * shape.length * FP32
    unused = n * d * (FP32 + s) if recompute else 0
    conv = n * d * FP32 + 2 * n * d * s + again - unused + filters + _transforms(config, shape)
    messages = 2 * n * d * s if shape.shared else 0
    return max(outside, mlp - outside, conv - outside) + messages + _graphs(config, shape)


def forward_bytes(config: ModelConfig, shape: MicroStepShape) -> int:
    """Peak of a pass in fp32 without gradients, one layer's filters at a time, beyond weights; an estimate from above.

    Three tensors of the residual stream's size, in the long convolution: the stream, its input and its result; the
    layer's filters; the FFT's buffers or, in the MLP, a tile: its hidden layer before and after GELU, with the square
    and the gate of that.
    """
    d, tile = config.d_model, min(shape.positions, tiled.CUDA_TILE)
    streams = 3 * shape.positions * d * FP32
    filters = (config.order - 1) * d * shape.length * FP32
    hidden = tile * (4 * config.mlp_width + 2 * d) * FP32
    return streams + filters + max(_transforms(config, shape), hidden)


def _graphs(config: ModelConfig, shape: MicroStepShape) -> int:
    """What graphs keep in place: the gradient they start from, and those of all layers' filters."""
    if not shape.graphed:
        return 0
    filters = config.n_layer * (config.order - 1) * config.d_model * shape.length
    return (shape.positions * config.d_model + filters) * FP32


def _transforms(config: ModelConfig, shape: MicroStepShape) -> int:
    """The FFT's buffers, signals padded to twice their length."""
    padded = 2 * shape.batch * (config.d_model * shape.length if shape.dealt is None else shape.dealt) * FP32
    buffers = LONG_FFT_BUFFERS if 2 * shape.length > LONG_FFT else FFT_BUFFERS
    return buffers * min(padded, CUDA_BUFFER_BYTES)


def _tile(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """What lives between input and result of a tile, and its gradients.

    The MLP's hidden layer before and after GELU, its derivative, and both gradients; two streams as projected and, in
    fp32, convolved, with the gradients of both; three layers of the filter's sines, three tensors each. Of what is kept
    (`_between`, `_within_filters`) the gradients alone.
    """
    d, s, w = config.d_model, shape.element_size, config.mlp_width
    positions = min(shape.positions, tiled.CUDA_TILE)
    hidden, streams = 5 * w * s, d * (4 * s + 8 * FP32)
    if shape.keeps_all and not recompute:
        hidden, streams = 2 * w * s, streams // 2
    sines = (3 if shape.keeps_filters else 10) * config.filter_order + 3 * (config.order - 1) * d
    inputs = 3 * d * FP32
    return max(positions * (max(hidden, streams) + inputs), min(shape.length, tiled.CUDA_TILE) * sines * FP32)


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


def _between(config: ModelConfig, shape: MicroStepShape) -> int:
    """What a layer keeps if nothing runs twice, beside what it keeps in any case.

    Of each norm, one for every product of streams and one for the MLP, two statistics and the result; each stream as
    projected and, in fp32, convolved; what out_proj takes; GELU's derivative (in bf16 its input) and result. Under bf16
    the weights as rounded.
    """
    if not shape.keeps_all:
        return 0
    d, w, n, s, order = config.d_model, config.mlp_width, shape.positions, shape.element_size, config.order
    norm = d * s + 2 * FP32
    kept = n * ((order + 1) * norm + (order + 1) * d * (s + FP32) + d * s + 2 * w * s)
    streams = (order + 1) * d * d
    rounded = (streams + d * d + 2 * d * w) * s if shape.bf16 else 0
    return kept + rounded


def _within_halo(config: ModelConfig, shape: MicroStepShape) -> int:
    """What a rank on a CPU keeps of the halo it sends: the norm's statistics and result, under bf16 the weight too."""
    if not (shape.on_cpu and shape.shared):
        return 0
    d, s = config.d_model, shape.element_size
    return shape.batch * REACH * (d * s + 2 * FP32) + ((config.order + 1) * d * d * s if shape.bf16 else 0)


def _within_filters(config: ModelConfig, shape: MicroStepShape) -> int:
    """Of a layer, if they are kept: three tensors for each layer of sines; the window."""
    if not shape.keeps_filters:
        return 0
    return shape.length * (9 * config.filter_order + (config.order - 1) * config.d_model) * FP32


def _halo(config: ModelConfig, shape: MicroStepShape) -> int:
    """The projected positions before a slice, which come from the left neighbour."""
    return shape.batch * (config.order + 1) * config.d_model * REACH * shape.element_size if shape.shared else 0


def _over_micro_steps(config: ModelConfig, shape: MicroStepShape, recompute: bool) -> int:
    """The gradient of a layer's filters, accumulated over micro steps.

    Distributed by channel, their slice is kept as well; with checkpointing it is a layer input, counted there.
    """
    if not shape.accumulates:
        return 0
    taps = config.d_model * shape.length
    gathered = taps if shape.dealt is None else shape.dealt + (0 if recompute else taps)
    return (config.order - 1) * gathered * FP32
