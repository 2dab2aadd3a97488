"""HyenaDNA: a decoder of prenorm blocks over single nucleotides, with a head tied to the embedding.

Shapes: B batch, L context length, D = d_model, V = 16 vocabulary rows.
Precision: under `torch.autocast(dtype=bfloat16)` with fp32 parameters, the residual stream, norms, filters, FFTs and
the head stay fp32; projections, gates and the MLP run in bf16.
Source: HyenaDNA (arXiv 2306.15794). Unlike its code, the positional tables are not in the state dict.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdna.config.schema import ModelConfig
from hdna.genome.alphabet import EMBEDDING_ROWS
from hdna.model.filter import FilterTables
from hdna.model.filter_cache import MicroStep
from hdna.model.graphed import LARGEST, GraphedBlocks
from hdna.model.hyena import HyenaOperator
from hdna.model.norm import Norm
from hdna.model.recompute import is_recomputed, is_replay, recomputed
from hdna.model.tokenizer import Tokenizer
from hdna.ops import gelu, positional_dropout
from hdna.ops.tiled import Piece, Tiling

INIT_STD = 0.02


class EmbeddingDropout(nn.Module):
    """Dropout of embedding elements, keyed by an element's identity, not by where it is computed."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.seed, self.first_position = 0, 0
        self.samples_B: Tensor | None = None

    def set_position(self, seed: int, samples: Tensor, first_position: int = 0) -> None:
        """Set the samples and positions of the next forward pass; training calls this before each one.

        Args:
            seed: the step's seed.
            samples: (B,) int64 index of each row in the global batch.
            first_position: global position of the first column; above 0 on a slice of the sequence.

        """
        self.seed, self.samples_B, self.first_position = seed, samples, first_position

    def forward(self, x_BLD: Tensor) -> Tensor:
        """Drop elements in training mode, else return x. Before any `set_position`: seed 0, rows numbered from 0."""
        if not self.training or self.p == 0:
            return x_BLD
        samples_B = self.samples_B if self.samples_B is not None else torch.arange(len(x_BLD))
        return positional_dropout(x_BLD, self.p, self.seed, samples_B, self.first_position)


class MLP(nn.Module):
    """Position-wise D → mlp_width → D with tanh-approximated GELU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.d_model)

    def forward(self, x_BLD: Tensor, norm: Norm) -> Tensor:
        """Add to the residual stream (B, L, D) the MLP of its norm; of more than a tile the stream alone is kept."""
        weights = norm.weight, norm.bias, self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias
        tiling = Tiling(norm.before(_hidden), into_residual=True, keeps=not is_recomputed())
        return tiling(x_BLD, *weights, result_is_needed=not is_replay())


def _hidden(_: Piece, normed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return gelu(F.linear(normed, weight, bias))


class Block(nn.Module):
    """Hyena operator, then MLP, each after a norm and added to the residual stream."""

    def __init__(self, config: ModelConfig, tables: FilterTables) -> None:
        super().__init__()
        self.hyena_norm = Norm(config.d_model)
        self.hyena = HyenaOperator(config, tables)
        self.mlp_norm = Norm(config.d_model)
        self.mlp = MLP(config)

    def forward(self, x_BLD: Tensor, k_ODL: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D), both in the residual's dtype; k_ODL: the operator's filters."""
        y_BLD: Tensor = self.mlp(self.hyena(x_BLD, self.hyena_norm, k_ODL), self.mlp_norm)
        return y_BLD


class Backbone(nn.Module):
    """The blocks and the final norm.

    `activation_checkpointing` (False): recompute each block in the backward pass instead of keeping its activations.
    `micro_step`: set by the training loop, the position of the next forward pass within its optimizer step.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        tables = FilterTables(config)
        self.blocks = nn.ModuleList(Block(config, tables) for _ in range(config.n_layer))
        self.norm = Norm(config.d_model)
        self.activation_checkpointing = False
        self.micro_step = MicroStep()
        self._graphed: GraphedBlocks | None = None

    def forward(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D) → (B, L, D), before the final norm."""
        filters = [block.hyena.taps(x_BLD.shape[1], self.micro_step) for block in self.blocks]  # type: ignore[union-attr,operator]
        if self._graphed is not None and torch.is_grad_enabled():
            return self._graphed(x_BLD, *filters)
        return self._run(x_BLD, *filters)

    def use_cuda_graphs(self, wanted: bool, largest: int = LARGEST) -> None:
        """From the next pass with gradients on, record and replay the blocks, up to so many positions; or do not."""
        self._graphed = GraphedBlocks(self._run, tuple(self.blocks.parameters()), largest) if wanted else None

    def _run(self, x_BLD: Tensor, *filters: Tensor) -> Tensor:
        """The blocks one after another, each with its filters (O, D, L)."""
        recompute = self.activation_checkpointing and torch.is_grad_enabled()
        for block, k_ODL in zip(self.blocks, filters, strict=True):
            x_BLD = recomputed(block, x_BLD, k_ODL) if recompute else block(x_BLD, k_ODL)
        return x_BLD


class HyenaDNA(nn.Module):
    """The language model. Its state dict contains only parameters; `torch.manual_seed` fixes their initial values."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(EMBEDDING_ROWS, config.d_model)
        self.embed_dropout = EmbeddingDropout(config.embed_dropout)
        self.backbone = Backbone(config)
        self._initialise()

    @classmethod
    def load(cls, url: str) -> tuple["HyenaDNA", Tokenizer]:
        """The model of a run (its newest intact checkpoint), a checkpoint or an import, and the tokenizer.

        On the CPU, in fp32, without dropout (`eval`); `url` may be in a bucket. Raises InputError when there is none,
        or it is damaged.
        """
        from hdna.checkpoint import PARAMETERS, load_run_or_checkpoint  # the rest of this room is plain torch
        from hdna.config.recipe import parse_recipe

        found = load_run_or_checkpoint(url)
        model = cls(parse_recipe(found.state.recipe, f"the recipe in {found.url}").model)
        model.load_state_dict(found.tensors[PARAMETERS])
        return model.eval(), Tokenizer()

    def hidden(self, input_ids: Tensor) -> Tensor:
        """Return the final norm's output (B, L, D) for int64 token ids (B, L); L over l_max raises InputError."""
        x_BLD: Tensor = self.backbone.norm(self._residual(self.embedding(input_ids)))
        return x_BLD

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return logits (B, L, V) of the token after each of (B, L) int64 ids; L over l_max raises InputError."""
        return self.from_embeddings(self.embedding(input_ids))

    def from_embeddings(self, x_BLD: Tensor) -> Tensor:
        """Return logits (B, L, V) for embeddings (B, L, D), which need not be those of tokens."""
        x_BLD, norm = self._residual(x_BLD), self.backbone.norm
        # 16 rows cost nothing in fp32; bf16 logits would round the loss itself to three digits.
        with torch.autocast(x_BLD.device.type, enabled=False):
            return Tiling(norm.before(_logits))(x_BLD, norm.weight, norm.bias, self.embedding.weight)

    def _residual(self, x_BLD: Tensor) -> Tensor:
        y_BLD: Tensor = self.backbone(self.embed_dropout(x_BLD))
        return y_BLD

    def _initialise(self) -> None:
        """Draw N(0, 0.02) weights, zero biases; scale layers that write to the residual stream down with depth."""
        residual_std = INIT_STD / math.sqrt(2 * self.config.n_layer)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                std = residual_std if name.endswith((".out_proj", ".fc2")) else INIT_STD
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


def _logits(_: Piece, normed: Tensor, embedding: Tensor) -> Tensor:
    return F.linear(normed, embedding)
