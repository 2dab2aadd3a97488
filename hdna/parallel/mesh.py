"""The ranks of a run as data-parallel ranks, and the few collectives that training and checkpoints need."""

from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Mesh:
    """Where this process stands among the run's processes. Every rank is a data-parallel rank."""

    rank: int
    world_size: int

    @classmethod
    def of_this_process(cls) -> "Mesh":
        """The mesh of the initialised process group, or a single rank where there is none."""
        if not dist.is_initialized():
            return cls(0, 1)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this rank does what is done once: logs, manifests, reports."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over the ranks, in place; every rank gets the same bits."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, row: torch.Tensor) -> torch.Tensor:
        """Rows (N,) of all ranks as (world_size, N), on every rank."""
        rows = [torch.empty_like(row) for _ in range(self.world_size)]
        if self.world_size == 1:
            return row[None]
        dist.all_gather(rows, row)
        return torch.stack(rows)

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        if self.world_size > 1:
            dist.barrier()
