"""Parameters and floating-point operations of a model, in closed form, before anything is built."""

import math

from hdna.config.schema import ModelConfig
from hdna.genome.alphabet import EMBEDDING_ROWS
from hdna.ops import smooth_size
from hdna.ops.short_conv import TAPS


def parameter_count(config: ModelConfig) -> int:
    """Return the number of learned parameters; the tied head counts once.

    With D = d_model, F = filter_order, P = emb_dim, W = MLP width, C = (order + 1) D and O = order - 1, a block has
    two norms 4D; in_proj DC + C; short convolution 3C + C; long convolution's bias OD;
    filter PF + F + 2 (FF + F) + F frequencies + ODF; out_proj DD + D; MLP 2DW + W + D.
    Add the embedding 16 D and the final norm 2D.
    """
    d, f, w = config.d_model, config.filter_order, config.mlp_width
    streams, outputs = (config.order + 1) * d, (config.order - 1) * d
    operator = d * streams + streams + (TAPS + 1) * streams + outputs + d * d + d
    implicit_filter = config.emb_dim * f + f + 2 * (f * f + f) + f + outputs * f
    mlp = 2 * d * w + w + d
    return config.n_layer * (4 * d + operator + implicit_filter + mlp) + EMBEDDING_ROWS * d + 2 * d


def parameter_tensors(config: ModelConfig) -> int:
    """Return the number of tensors that these parameters are in.

    A block has 23: two norms of 2; in_proj, short convolution and out_proj 2 each; the long convolution's bias; the
    filter's three layers of 2, its output and its frequencies; the MLP 4. Add the embedding and the final norm's 2.
    """
    return 23 * config.n_layer + 3


def train_flops_per_token(config: ModelConfig, context_length: int, micro_batch_size: int = 1) -> float:
    """Return FLOPs (a multiply-add is two) of one forward and backward pass, per token.

    Matrix products: 2 FLOPs per weight forward and 4 backward (gradients of input and weight), hence 6 per weight of
    in_proj, out_proj, MLP and head. Likewise the short convolution: 6 per tap and channel. Gates: order products per
    channel, 3 FLOPs each (one forward, two backward).

    Long convolutions: a real FFT of size N (smooth, at least 2L - 1) is counted as 2.5 N log2 N, the usual estimate,
    not any library's operation count. Per sample, channel and long convolution there are 5 transforms
    (forward: of u and back; backward: of dy and u, and back), and 3 products of N / 2 complex numbers of 6 FLOPs. Per
    filter there are 3 more transforms (forward: of k; backward: of k again, and its gradient back).

    Filter: 6 per weight and position. It depends on position alone, so this part and the filter's transforms are
    divided by the micro-batch size: one filter per forward pass.

    Excluded: norms, GELU, softmax, sines, dropout, residual sums (together a few per cent), recomputation
    (activation checkpointing adds a third: that is HFU, not MFU), the optimizer.
    """
    d, f, w = config.d_model, config.filter_order, config.mlp_width
    streams, convolutions = (config.order + 1) * d, config.order - 1
    dense = 6.0 * (d * streams + d * d + 2 * d * w + TAPS * streams) + 3.0 * config.order * d
    n = smooth_size(2 * context_length - 1)
    transform = 2.5 * n * math.log2(max(n, 2)) / context_length
    products = 3 * 6 * (n / 2) / context_length
    long_conv = convolutions * d * (5 * transform + products + 3 * transform / micro_batch_size)
    implicit_filter = 6.0 * (config.emb_dim * f + 2 * f * f + f * convolutions * d) / micro_batch_size
    return config.n_layer * (dense + long_conv + implicit_filter) + 6.0 * EMBEDDING_ROWS * d
