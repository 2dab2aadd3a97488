"""Letters to token ids and back, as tensors.

Shapes: B sequences, L letters of the longest of them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hdna.errors import InputError
from hdna.genome import alphabet


class Tokenizer:
    """One letter is one token, with the ids of HyenaDNA's own tokenizer (`hdna.genome.alphabet`).

    Lower case reads as upper case, U as T, and ambiguity codes such as R as [UNK]. Nothing is put around a sequence:
    the model was trained on bases alone.
    """

    vocabulary = alphabet.VOCABULARY
    """The token of each id."""
    pad_id = alphabet.PAD

    def __call__(self, sequences: str | Sequence[str]) -> Tensor:
        """Token ids (B, L), int64, of one sequence or several; shorter ones are padded on the right with `pad_id`.

        What a causal model says of a sequence does not depend on what is on its right. Raises InputError for a letter
        that is no nucleotide code, and for no sequence at all.
        """
        rows = [self._encode(sequence) for sequence in ([sequences] if isinstance(sequences, str) else sequences)]
        if not rows:
            raise InputError("no sequence to encode: want one, or a list with at least one")
        ids_BL = torch.full((len(rows), max(map(len, rows))), self.pad_id)
        for place, row in zip(ids_BL, rows, strict=True):
            place[: len(row)] = row
        return ids_BL

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The letters of token ids (L,), upper case; padding is left out, [UNK] is N, other specials are dots."""
        tokens = np.asarray(ids, np.uint8)
        return alphabet.decode(tokens[tokens != self.pad_id]).decode()

    def _encode(self, sequence: str) -> Tensor:
        tokens = alphabet.encode(sequence.encode(errors="replace"))
        if not tokens.all():
            at = int(np.flatnonzero(tokens == 0)[0])
            raise InputError(
                f"letter {at + 1} of a sequence is {sequence[at]!r}, no nucleotide code: want A, C, G, T or N"
            )
        return torch.from_numpy(tokens).long()
