"""The implicit filter: a small MLP from position to the taps of a long convolution.

Shapes: M = l_max positions, S requested positions, T those of a tile, P = emb_dim positional features,
F = filter_order hidden units, D = d_model channels, O = order - 1 filters per channel, C = O * D.
Source: HyenaDNA (arXiv 2306.15794) and Hyena (arXiv 2302.10866, section 3.3).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdna.config.schema import ModelConfig
from hdna.errors import InputError
from hdna.model.positions import filter_features
from hdna.ops import windowed
from hdna.ops.tiled import Piece, Tiling

SLOW_DECAY, FAST_DECAY, DECAY_TARGET = 1.5, 0.3, 0.01
"""The slowest channel decays to DECAY_TARGET over 1.5 l_max, the fastest over 0.3 l_max."""


def decay_rates(channels: int) -> Tensor:
    """Return δ (C,) in fp32, negative, per unit of t, from the slowest channel to the fastest."""
    log_target = math.log(DECAY_TARGET)
    return torch.linspace(log_target / SLOW_DECAY, log_target / FAST_DECAY, channels)


class FilterTables(nn.Module):
    """The inputs shared by all layers' filters: positional features (M, P) and decay rates (C,).

    Both are closed forms of the configuration, hence not in the state dict; one instance serves every layer.
    """

    features_MP: Tensor
    decay_C: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        features_MP = filter_features(config)
        self.register_buffer("features_MP", features_MP, persistent=False)
        decay_C = decay_rates((config.order - 1) * config.d_model)
        self.register_buffer("decay_C", decay_C, persistent=False)


class ImplicitFilter(nn.Module):
    """The O long filters of each channel of one Hyena operator, for any span of positions."""

    def __init__(self, config: ModelConfig, tables: FilterTables) -> None:
        super().__init__()
        width, self.d_model, self.shift = config.filter_order, config.d_model, config.shift
        self.tables = tables
        self.layers = nn.ModuleList(nn.Linear(n, width) for n in (config.emb_dim, width, width))
        self.output = nn.Linear(width, (config.order - 1) * config.d_model, bias=False)
        self.frequency = nn.Parameter(torch.full((width,), float(config.w)))
        """One learned frequency per hidden unit, shared by the three sine layers."""

    def forward(self, start: int, stop: int) -> Tensor:
        """Return taps [start, stop) as (O, D, S) in fp32, even under autocast.

        Raises:
            InputError: the span extends beyond l_max, where the filter is undefined.

        """
        l_max = len(self.tables.features_MP)
        if stop > l_max:
            raise InputError(
                f"context of {stop} tokens is longer than the model's l_max of {l_max}: shorten the context, "
                "or train a model with a larger model.l_max"
            )
        features_SP = self.tables.features_MP[start:stop]
        hidden: list[Tensor] = []
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            hidden += [layer.weight, layer.bias]  # by name: that is when ZeRO 3 gathers partitioned parameters
        weights = (self.frequency, self.output.weight, self.tables.decay_C, *hidden)
        with torch.autocast(features_SP.device.type, enabled=False):
            k_1CS = Tiling(self._taps, channels_first=True)(features_SP[None], *weights)
        k_ODS: Tensor = k_1CS[0].unflatten(0, (-1, self.d_model))
        return k_ODS

    def _taps(self, piece: Piece, frequency_F: Tensor, output_CF: Tensor, decay_C: Tensor, *hidden: Tensor) -> Tensor:
        """(1, C, T) from the features (1, T, P) of a tile's positions."""
        features_TP = x_TF = piece.x[0]
        for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
            x_TF = torch.sin(frequency_F * F.linear(x_TF, weight, bias))
        return windowed(output_CF @ x_TF.T, features_TP[:, 0], decay_C.abs(), self.shift)[None]
