"""Sequences of any lengths in batches: padded on the right, where a causal model's earlier positions cannot see it.

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
    def of(cls, tokens: Tokens, device: torch.device, mesh: Mesh = ONE_PROCESS) -> "Padded":
        """Rows of tokens, cut into equal slices where ranks share them."""
        lengths = [len(row) for row in tokens]
        ranks = mesh.sequence_parallel_size
        ids_BL = np.full((len(tokens), -(-max(lengths) // ranks) * ranks), PAD, np.uint8)
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


def batches(lengths_N: Ints, positions: int) -> Iterator[Ints]:
    """The numbers of rows in batches of like lengths, each of at most so many padded positions, or of one row."""
    batch: list[int] = []
    for row in np.argsort(lengths_N, kind="stable"):  # a batch's longest row is its last
        if batch and (len(batch) + 1) * lengths_N[row] > positions:
            yield np.array(batch)
            batch = []
        batch.append(int(row))
    if batch:
        yield np.array(batch)
