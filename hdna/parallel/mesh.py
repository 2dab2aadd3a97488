"""The ranks of a run as a data × sequence mesh, and the few collectives that training and checkpoints need.

Ranks are numbered along the sequence first: with `sequence_parallel_size` P, ranks 0 to P - 1 share the first samples,
P to 2P - 1 the next. Ranks that communicate most are neighbours, on the same node.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import _set_pg_timeout

from hdna.config.slices import slice_length
from hdna.errors import InputError, LostWorkerError


@contextmanager
def lost_ranks_explained() -> Iterator[None]:
    """Turn a failed collective, whose message is the backend's, into one readable line.

    gloo fails at once when a peer process has ended, and after the timeout when it hangs; so does NCCL, whose watchdog
    may end the process first.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise LostWorkerError(
            f"rank {dist.get_rank()} of {dist.get_world_size()}: another worker died, or did not reach a collective "
            f"within parallel.collective_timeout_s: look for the first error in the workers' logs ({reason})"
        ) from error


def bound_waiting(group: dist.ProcessGroup, timeout: timedelta) -> None:
    """Limit the collectives of a library's process group to `timeout`."""
    _set_pg_timeout(timeout, group)


@dataclass(frozen=True)
class Mesh:
    """The position of this process among those of the run."""

    rank: int
    world_size: int
    sequence_parallel_size: int = 1
    """Ranks that share one sample, each a slice of its positions."""
    sequence_group: dist.ProcessGroup | None = None
    """The ranks that share this rank's samples, in slice order; None if each has its own, or if this one is idle."""
    world_group: dist.ProcessGroup | None = None
    """All ranks, for the collectives below; None: torch's default group."""

    @classmethod
    def beside_training(cls, timeout: timedelta) -> "Mesh":
        """All ranks, in a group of their own for tensors in host memory; called by all ranks.

        Its collectives may run in another thread than those of training.
        """
        if not dist.is_initialized():
            return cls(0, 1)
        return cls(dist.get_rank(), dist.get_world_size(), world_group=dist.new_group(backend="gloo", timeout=timeout))

    @classmethod
    def of_this_process(cls, sequence_parallel_size: int = 1, timeout: timedelta | None = None) -> "Mesh":
        """The mesh of the initialised process group, or a single rank without one; called by all ranks.

        `timeout` bounds the sequence group's collectives; None: the backend's default.

        Raises InputError when there are fewer ranks than `sequence_parallel_size`.
        """
        rank, world_size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        if not 1 <= sequence_parallel_size <= world_size:
            raise InputError(
                f"sequence_parallel={sequence_parallel_size}: want 1 to {world_size}, the rank(s) of this run"
            )
        if sequence_parallel_size == 1:
            return cls(rank, world_size)
        firsts = range(0, world_size - sequence_parallel_size + 1, sequence_parallel_size)
        ranks = [list(range(first, first + sequence_parallel_size)) for first in firsts]
        group, _ = dist.new_subgroups_by_enumeration(ranks, timeout=timeout)
        return cls(rank, world_size, sequence_parallel_size, group)

    @property
    def is_leader(self) -> bool:
        """Whether this rank does what must be done once: logs, manifests, reports."""
        return self.rank == 0

    @property
    def is_idle(self) -> bool:
        """Whether this rank is left over when the others have formed groups: it takes part without samples."""
        return self.rank >= self.data_parallel_size * self.sequence_parallel_size

    @property
    def data_parallel_size(self) -> int:
        """How many different micro-batches the ranks process at once."""
        return self.world_size // self.sequence_parallel_size

    @property
    def data_parallel_rank(self) -> int:
        """Index of this rank's micro-batch among them."""
        return self.rank // self.sequence_parallel_size

    @property
    def sequence_rank(self) -> int:
        """Index of this rank's slice of a sample, from 0."""
        return self.rank % self.sequence_parallel_size

    def slice_of(self, context_length: int) -> slice:
        """The positions of a sample on this rank.

        Raises InputError naming the nearest lengths that can be sliced.
        """
        length = slice_length(context_length, self.sequence_parallel_size)
        return slice(self.sequence_rank * length, (self.sequence_rank + 1) * length)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over all ranks, in place; every rank gets the same bits."""
        if self.world_size > 1:
            dist.all_reduce(values, group=self.world_group)
        return values

    def gather(self, row: torch.Tensor) -> torch.Tensor:
        """All ranks' rows (N,) as (world_size, N), on every rank."""
        rows = [torch.empty_like(row) for _ in range(self.world_size)]
        if self.world_size == 1:
            return row[None]
        dist.all_gather(rows, row, group=self.world_group)
        return torch.stack(rows)

    def broadcast(self, data: bytes, device: torch.device) -> bytes:
        """Rank 0's `data`, on every rank; sent through tensors on `device`."""
        if self.world_size == 1:
            return data
        size = torch.tensor(len(data), device=device)
        dist.broadcast(size, src=0, group=self.world_group)
        message = torch.zeros(int(size), dtype=torch.uint8, device=device)
        if self.is_leader and data:
            message.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(message, src=0, group=self.world_group)
        return message.cpu().numpy().tobytes()
