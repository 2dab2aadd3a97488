"""Pure tensor functions: no modules, no parameters, no ranks."""

from hdna.ops.dropout import positional_dropout
from hdna.ops.fft_conv import causal_fft_conv, smooth_size
from hdna.ops.short_conv import short_conv

__all__ = ["causal_fft_conv", "smooth_size", "short_conv", "positional_dropout"]
