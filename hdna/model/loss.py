"""The training loss, as a sum that adds up over ranks and micro-batches.

Shapes: B batch, L context (or slice) length, V vocabulary rows.
"""

import torch.nn.functional as F
from torch import Tensor

IGNORE = -100
"""Target of an unpredicted position: N, padding, a border."""


def weighted_nats(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the sum over positions of weight times nats (minus log probability of the target): in fp32.

    Args:
        logits: (B, L, V), any floating dtype; the softmax is fp32.
        targets: (B, L) int64 token ids, already shifted; `IGNORE` counts zero.
        weights: (B, L) fp32 weight of each position, for a scalar; (B, L, K) for K sums.

    For the mean loss, divide by the number of predicted bases in the global batch.

    """
    nats = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE, reduction="none")
    weights = weights.flatten(0, 1).float()
    return (nats.view(-1, *[1] * (weights.ndim - 1)) * weights).sum(0)
