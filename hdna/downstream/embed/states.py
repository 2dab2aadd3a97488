"""Hidden states of any layer, and their mean over the bases of a sequence.

Shapes: B sequences, L padded length, S positions of this rank's slice (L without sequence parallelism), D = d_model.

The model is causal: padding on the right changes no position before it.
"""

from typing import Literal

import torch
from torch import Tensor

from hdna.genome import alphabet
from hdna.model import HyenaDNA
from hdna.parallel import Mesh

Pool = Literal["mean", "none"]


def hidden_states(model: HyenaDNA, ids_BS: Tensor, layer: int | None) -> Tensor:
    """The residual stream (B, S, D) after block `layer`; 0: the embedding; None: the output of the final norm.

    The model's own pass makes all layers' filters beforehand; this one makes each when it comes to its layer.
    """
    x_BSD: Tensor = model.embedding(ids_BS)
    for block in model.backbone.blocks[:layer]:
        x_BSD = block(x_BSD, block.hyena.taps(ids_BS.shape[1], model.backbone.micro_step))  # type: ignore[union-attr,operator]
    return x_BSD if layer is not None else model.backbone.norm(x_BSD)


@torch.no_grad()
def embed_slice(
    model: HyenaDNA, mesh: Mesh, tokens_BL: Tensor, lengths_B: Tensor, layer: int | None, pool: Pool
) -> Tensor:
    """The embeddings of whole sequences, padded on the right; called by all ranks that share them.

    With "mean" (B, D), the same on every rank: over the A, C, G and T of a sequence, or over all of its positions if it
    has none of these. With "none" (B, S, D): the states of this rank's slice, those of padding undefined.

    Args:
        model: as it is in a single process, or after `shard_sequence` with this mesh.
        mesh: of one group of sequence ranks, or of a single process.
        tokens_BL: uint8, on every rank.
        lengths_B: int64, without the padding.
        layer: as in `hidden_states`.
        pool: as above.

    Raises InputError when the ranks cannot split L equally.

    """
    mine = mesh.slice_of(tokens_BL.shape[1])
    x_BSD = hidden_states(model, tokens_BL[:, mine].long(), layer)
    if pool == "none":
        return x_BSD
    counts_BL = _counted(tokens_BL, lengths_B)
    sums_BD = mesh.sum((x_BSD * counts_BL[:, mine, None]).sum(1))
    return sums_BD / counts_BL.sum(1, keepdim=True)


def _counted(tokens_BL: Tensor, lengths_B: Tensor) -> Tensor:
    """Which positions the mean is over."""
    within_BL = torch.arange(tokens_BL.shape[1], device=tokens_BL.device) < lengths_B[:, None]
    known_BL = within_BL & (tokens_BL >= alphabet.A) & (tokens_BL <= alphabet.T)
    return torch.where(known_BL.any(1, keepdim=True), known_BL, within_BL)
