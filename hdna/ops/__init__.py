"""Pure tensor functions: no modules, no parameters, no ranks."""

from hdna.ops.dropout import positional_dropout
from hdna.ops.fft_conv import causal_fft_conv, smooth_size
from hdna.ops.gelu import gelu
from hdna.ops.short_conv import gated_short_conv

__all__ = ["causal_fft_conv", "smooth_size", "gated_short_conv", "gelu", "positional_dropout"]
