"""A Transformer of HyenaDNA's depth and width, to time against: causal attention in place of the Hyena operator.

Shapes: B batch, L context length, D = d_model, H heads, E = D / H.
Norms, MLP, residual stream, embedding, head and loss are HyenaDNA's own. It has no positional encoding, which would
cost next to nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from hdna.config.schema import ModelConfig
from hdna.genome.alphabet import EMBEDDING_ROWS
from hdna.model.backbone import MLP
from hdna.model.norm import Norm

BACKENDS = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
"""Implementations whose memory grows with L; the device decides which are fastest, or there at all."""


class Attention(nn.Module):
    """Causal multi-head self-attention by torch's `scaled_dot_product_attention`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D)."""
        q_BHLE, k_BHLE, v_BHLE = self.in_proj(x_BLD).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed_BHLE = F.scaled_dot_product_attention(q_BHLE, k_BHLE, v_BHLE, is_causal=True)
        y_BLD: Tensor = self.out_proj(mixed_BHLE.transpose(1, 2).flatten(2))
        return y_BLD


class _Block(nn.Module):
    def __init__(self, config: ModelConfig, heads: int) -> None:
        super().__init__()
        self.mixer_norm = Norm(config.d_model)
        self.mixer = Attention(config.d_model, heads)
        self.mlp_norm = Norm(config.d_model)
        self.mlp = MLP(config)

    def forward(self, x_BLD: Tensor) -> Tensor:
        x_BLD = x_BLD + self.mixer(self.mixer_norm(x_BLD))
        y_BLD: Tensor = self.mlp(x_BLD, self.mlp_norm)
        return y_BLD


class Transformer(nn.Module):
    """Token ids (B, L) to logits (B, L, V), as HyenaDNA; each block may be recomputed in the backward pass."""

    def __init__(self, config: ModelConfig, heads: int, recompute: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(EMBEDDING_ROWS, config.d_model)
        self.blocks = nn.ModuleList(_Block(config, heads) for _ in range(config.n_layer))
        self.norm = Norm(config.d_model)
        self._recompute = recompute

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return the logits."""
        x_BLD = self.embedding(input_ids)
        for block in self.blocks:
            x_BLD = checkpoint(block, x_BLD, use_reentrant=False) if self._recompute else block(x_BLD)
        with torch.autocast(x_BLD.device.type, enabled=False):
            return F.linear(self.norm(x_BLD), self.embedding.weight)


def usable_backends(device: torch.device, dtype: torch.dtype, head_dim: int) -> list[SDPBackend]:
    """Those of BACKENDS that run here, forward and backward."""
    return [backend for backend in BACKENDS if _runs(backend, device, dtype, head_dim)]


def _runs(backend: SDPBackend, device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    q_BHLE = torch.zeros(1, 1, 128, head_dim, device=device, dtype=dtype, requires_grad=True)
    try:
        with sdpa_kernel(backend):
            F.scaled_dot_product_attention(q_BHLE, q_BHLE, q_BHLE, is_causal=True).sum().backward()
    except RuntimeError:
        return False
    return True
