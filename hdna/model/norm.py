"""LayerNorm as the first part of a function that runs in tiles.

Shapes: B batch, L context length, T positions of a tile, D = d_model.
"""

from collections.abc import Callable

from torch import Tensor, nn

from hdna.ops import layer_norm
from hdna.ops.tiled import Piece

EPS = 1e-5


class Norm(nn.LayerNorm):
    """A LayerNorm over D that can come before a function of tiles."""

    implementation: Callable[..., Tensor] = staticmethod(layer_norm)
    """`(x, weight, bias, eps)`; an instance may have another, such as NVIDIA Apex's."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPS)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        return self.implementation(x_BLD, self.weight, self.bias, self.eps)

    def before(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`function(piece, normed x, *weights)` as one of a piece and of `self.weight`, `self.bias` and the weights."""

        def normed(piece: Piece, weight_D: Tensor, bias_D: Tensor, *weights: Tensor) -> Tensor:
            normed_BTD = self.implementation(piece.x, weight_D, bias_D, self.eps)
            return function(piece, normed_BTD, *weights)

        return normed
