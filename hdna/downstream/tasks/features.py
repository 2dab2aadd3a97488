"""Sequences of any lengths in batches: padded on the right, where a causal model's earlier positions cannot see it.

They cannot but for rounding: an FFT's error grows with all that it transforms, at 1,000 positions to 2e-6 of a probe's
answer about 70 bases. How far a sequence is padded is therefore a function of its own length, and only sequences that
are padded alike share a batch.

Shapes: B rows of a batch, L positions of the longest of them, S = L / P positions on one of P sequence ranks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hdna.downstream.metrics import Ints
from hdna.genome.alphabet import PAD, reverse_complement
from hdna.parallel import Mesh

Tokens = Sequence[npt.NDArray[np.uint8]]

ONE_PROCESS = Mesh(0, 1)


@dataclass(frozen=True)
class Padded:
    """A batch of sequences, or this rank's slice of one."""

    ids_BS: Tensor
    """int64 tokens."""
    lengths_B: Tensor
    """int64: of the whole sequences."""
    first_position: int = 0
    """Position of the first column; above 0 on a slice."""

    @classmethod
    def of(cls, tokens: Tokens, device: torch.device, l_max: int, mesh: Mesh = ONE_PROCESS) -> "Padded":
        """Rows of tokens for a model of context `l_max`, cut into equal slices where ranks share them."""
        lengths = [len(row) for row in tokens]
        ranks, padded = mesh.sequence_parallel_size, padded_length(max(lengths), l_max)
        ids_BL = np.full((len(tokens), -(-padded // ranks) * ranks), PAD, np.uint8)
        for place, row in zip(ids_BL, tokens, strict=True):
            place[: len(row)] = row
        span = mesh.slice_of(ids_BL.shape[1])
        ids_BS = torch.from_numpy(ids_BL[:, span]).to(device).long()
        return cls(ids_BS, torch.tensor(lengths, device=device), span.start)

    @property
    def is_own_BS(self) -> Tensor:
        """bool: which columns belong to a row's sequence."""
        columns_S = self.first_position + torch.arange(self.ids_BS.shape[1], device=self.ids_BS.device)
        return columns_S < self.lengths_B[:, None]


def other_strand(tokens: Tokens) -> Tokens:
    """Each row's reverse complement."""
    return [reverse_complement(row) for row in tokens]


def padded_length(length: int, l_max: int) -> int:
    """How long a sequence is made: at most a quarter longer, and at most `l_max`, unless that is too short for it."""
    step = 1 << max(0, (length - 1).bit_length() - 3)
    return max(length, min(-(-length // step) * step, l_max))


def batches(lengths_N: Ints, positions: int, l_max: int, before: int = 0) -> Iterator[Ints]:
    """The numbers of rows in batches of one padded length, each of at most so many positions, or of one row.

    `before`: what is put before each row.
    """
    padded_N = np.array([padded_length(int(length), l_max) for length in lengths_N])
    for padded in np.unique(padded_N):
        rows = np.flatnonzero(padded_N == padded)
        count = max(1, positions // (int(padded) + before))
        yield from (rows[start : start + count] for start in range(0, len(rows), count))
