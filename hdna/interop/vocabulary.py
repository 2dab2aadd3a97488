"""Embeddings with fewer rows than ours, filled up so that the added letters are never predicted.

Shapes: D = d_model, V vocabulary rows, h (D,) the final norm's output.

Published code pads its vocabulary of 12 to 16 rows; weights stored without the padding have 12. The rows are also the
head's: a row of zeros would give its letter a logit of 0, which is not nothing. But h = normed · w + b, and `normed`
sums to zero over the channels, so a row of a / w has the same logit at every position, the sum of a b / w: a is chosen
to make it FLOOR.
"""

import torch
from torch import Tensor

from hdna.errors import InputError
from hdna.genome.alphabet import EMBEDDING_ROWS

FLOOR = -40.0
"""Logit of a letter that does not exist: beside one of 0 its probability is 4e-18, below fp32's rounding of a loss."""
_LARGEST = 1e3
"""Of a number in such a row. Above it fp32 could no longer make the sum constant."""


def with_all_rows(embedding_VD: Tensor, norm_weight_D: Tensor, norm_bias_D: Tensor) -> Tensor:
    """The embedding with EMBEDDING_ROWS rows.

    Raises InputError when it has more, or the final norm's bias does not allow such rows.
    """
    rows = len(embedding_VD)
    if rows > EMBEDDING_ROWS:
        raise InputError(f"the embedding has {rows} rows, but HyenaDNA's alphabet has {EMBEDDING_ROWS} at most")
    if rows == EMBEDDING_ROWS:
        return embedding_VD
    weight, bias = norm_weight_D.double(), norm_bias_D.double()
    row_D = FLOOR / (bias / weight).sum() / weight
    if not bool(row_D.abs().max() <= _LARGEST):
        raise InputError(
            f"the embedding has {rows} rows instead of {EMBEDDING_ROWS}, and the final norm's bias allows none that "
            "are never predicted: store the weights with the vocabulary padded to a multiple of 8"
        )
    return torch.cat((embedding_VD, row_D.to(embedding_VD.dtype).expand(EMBEDDING_ROWS - rows, -1)))
