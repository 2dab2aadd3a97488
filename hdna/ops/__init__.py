"""Pure tensor functions: no modules, no parameters, no ranks."""

from hdna.ops.dropout import positional_dropout
from hdna.ops.fft_conv import causal_fft_conv
from hdna.ops.gelu import gelu
from hdna.ops.layer_norm import layer_norm
from hdna.ops.short_conv import gated_short_conv
from hdna.ops.smooth_size import smooth_size
from hdna.ops.window import windowed

__all__ = ["causal_fft_conv", "smooth_size", "gated_short_conv", "gelu", "layer_norm", "positional_dropout", "windowed"]
