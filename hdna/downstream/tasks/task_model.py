"""HyenaDNA with a linear head: labels from sequences.

Shapes: B rows of a batch, C = 2 B with their other strands, L positions, S = L / P positions on one of P sequence
ranks, D = d_model, E = 2 D, K outputs, N rows of a set (of per-base labels: bases), M bases of a batch.

A causal model has seen nothing to the right of a position. Each sequence is therefore read on both strands. A row's
features are, of either pass, the mean hidden state over its own bases, as in the paper, and that at the last, which has
seen the whole; a base's are those of its two positions, one of which has seen what is on its left and the other what is
on its right. Chosen by a probe's valid loss on promoters, by hand: averages of both strands do not know which way a
promoter points.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from hdna.downstream.metrics import Ints
from hdna.downstream.tasks.features import ONE_PROCESS, Padded, Tokens, batches, other_strand
from hdna.downstream.tasks.heads import Head
from hdna.downstream.tasks.problem import Rows
from hdna.errors import InputError
from hdna.model import HyenaDNA
from hdna.parallel import Mesh, shard_sequence
from hdna.parallel.exchange import summed_over_slices

POSITIONS = 2**15
"""Of a batch, on one strand: bounds memory, and is enough to keep a processor busy."""


class TaskModel(nn.Module):
    """A model, both strands of whose hidden states a linear layer reads; alike for all rows at first.

    With a mesh, rows are shared out over its data ranks, and the positions of each over its sequence ranks.
    """

    def __init__(self, model: HyenaDNA, head: Head, mesh: Mesh = ONE_PROCESS) -> None:
        super().__init__()
        if head.kind == "per_base" and mesh.sequence_parallel_size > 1:
            raise InputError("labels of single bases cannot be learned with ranks that share a sequence: use 1")
        self.model, self.meaning, self.mesh = model, head, mesh
        self.device = model.embedding.weight.device
        features = (2 if head.kind == "per_base" else 4) * model.config.d_model
        self.head = nn.Linear(features, head.outputs, device=self.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        shard_sequence(model, mesh)

    def forward(self, tokens: Tokens) -> Tensor:
        """Logits (B, K) of whole sequences, or (M, K) of their bases one after another."""
        logits: Tensor = self.head(self.features(tokens).to(self.head.weight.dtype))
        return logits

    def features(self, tokens: Tokens) -> Tensor:
        """What the head reads: (B, 4 D) in fp64, or (M, 2 D) of single bases."""
        batch = Padded.of([*tokens, *other_strand(tokens)], self.device, self.model.config.l_max, self.mesh)
        self.model.embed_dropout.first_position = batch.first_position
        hidden_CSD = self.model.hidden(batch.ids_BS)
        if self.meaning.kind == "per_base":
            return _by_base(hidden_CSD, batch)
        pooled_CE = summed_over_slices(_share_of_pooled(hidden_CSD, batch), self.mesh)
        return torch.cat(pooled_CE.chunk(2), -1)

    def key_dropout(self, seed: int, numbers_B: Ints) -> None:
        """Key the next pass's dropout by a step's seed and the rows' numbers in it, not by where they are computed."""
        numbers_2B = torch.from_numpy(np.concatenate([2 * numbers_B, 2 * numbers_B + 1])).to(self.device)
        self.model.embed_dropout.set_position(seed, numbers_2B)

    @torch.no_grad()
    def over(self, rows: Rows, function: Callable[[Tokens], Tensor], width: int) -> Tensor:
        """A function of batches, such as `features`, for all rows in their order: (N, width) in fp64, on every rank."""
        lengths_N = lengths(rows)
        sizes_N = lengths_N if self.meaning.kind == "per_base" else np.ones_like(lengths_N)
        starts_N = np.cumsum(sizes_N) - sizes_N
        found_NW = torch.zeros(int(sizes_N.sum()), width, dtype=torch.float64, device=self.device)
        for numbers in self.batches(rows):
            part = function([rows.tokens[row] for row in numbers])
            if self.mesh.sequence_rank == 0:  # the others of its group have the same
                places = np.concatenate([np.arange(starts_N[row], starts_N[row] + sizes_N[row]) for row in numbers])
                found_NW[torch.from_numpy(places).to(self.device)] = part.double()
        return self.mesh.sum(found_NW)

    def batches(self, rows: Rows) -> list[Ints]:
        """Of this data rank: the numbers of the rows of each."""
        if self.mesh.is_idle:
            return []
        shared = list(batches(lengths(rows), POSITIONS, self.model.config.l_max))
        return shared[self.mesh.data_parallel_rank :: self.mesh.data_parallel_size]


def lengths(rows: Rows) -> Ints:
    """(N,) bases of each row."""
    return np.array([len(row) for row in rows.tokens], np.int64)


def _share_of_pooled(hidden_CSD: Tensor, batch: Padded) -> Tensor:
    """(C, 2 D): this rank's share of each row's mean and last hidden state.

    In fp64: a sum of a million fp32 numbers would depend on how they are grouped.
    """
    sums_CD = (hidden_CSD * batch.is_own_BS[..., None]).sum(1, dtype=torch.float64)
    last_C, slice_length = batch.lengths_B - 1 - batch.first_position, hidden_CSD.shape[1]
    is_here_C = (last_C >= 0) & (last_C < slice_length)
    rows_C = torch.arange(len(hidden_CSD), device=hidden_CSD.device)
    last_CD = hidden_CSD[rows_C, last_C.clamp(0, slice_length - 1)] * is_here_C[:, None]
    return torch.cat([sums_CD / batch.lengths_B[:, None], last_CD], -1)


def _by_base(hidden_CLD: Tensor, batch: Padded) -> Tensor:
    """(M, 2 D): the hidden state at each base, beside that of the other strand's pass at the same base."""
    own_BLD, other_BLD = hidden_CLD.chunk(2)
    lengths_B = batch.lengths_B.chunk(2)[0]
    columns_L = torch.arange(own_BLD.shape[1], device=own_BLD.device)
    mirrored_BL = (lengths_B[:, None] - 1 - columns_L).clamp(min=0)
    mirrored_BLD = other_BLD.gather(1, mirrored_BL[..., None].expand_as(other_BLD))
    return torch.cat([own_BLD, mirrored_BLD], -1)[batch.is_own_BS.chunk(2)[0]]
