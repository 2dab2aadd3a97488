"""A run on many workers, before it starts: where its ranks are, and what they exchange beside training.

Closed forms of what the code does. Tests hold each against a few real ranks, and list what grows with their number.
"""

from dataclasses import dataclass

OUTCOME_BYTES = 1040
"""What a rank tells the others about its part of a checkpoint: size, sha256, and a reason if it has none."""
DRIVER_ASKS_PER_S = 5
_POLL_S = 2.0
"""Ray Train's: how often its controller asks each worker whether it lives."""
_ADDRESS_BYTES, _ADDRESS_BYTES_PER_RANK = 154, 8


@dataclass(frozen=True)
class ClusterShape:
    """Machines with equally many workers, which Ray numbers machine by machine."""

    nodes: int
    workers_each: int

    @property
    def workers(self) -> int:
        """Ranks of the run."""
        return self.nodes * self.workers_each

    def node_of(self, rank: int) -> int:
        """The machine of a rank."""
        return rank // self.workers_each


def groups_across_nodes(shape: ClusterShape, sequence_parallel: int) -> list[range]:
    """The groups of ranks whose shared samples travel between machines, in every layer."""
    firsts = range(0, shape.workers - sequence_parallel + 1, sequence_parallel)
    groups = [range(first, first + sequence_parallel) for first in firsts]
    return [group for group in groups if shape.node_of(group[0]) != shape.node_of(group[-1])]


@dataclass(frozen=True)
class Control:
    """What the processes of a run exchange beside training."""

    sockets: int
    """Of each rank, each a file descriptor, for the group of all ranks in which checkpoints are saved: gloo connects
    every pair when the group is made."""
    meeting_bytes: int
    """From rank 0's store to all ranks, while they make that group."""
    gathered_bytes: int
    """On every rank, in a save."""
    driver_per_s: int
    """Messages from and to the driver, beside one for each step and each save."""
    controller_per_s: float
    """Messages from and to Ray Train's controller."""


def control(workers: int) -> Control:
    """Of a run with that many ranks."""
    addresses = _ADDRESS_BYTES + _ADDRESS_BYTES_PER_RANK * workers
    return Control(
        sockets=workers,  # one of them listens
        meeting_bytes=workers * workers * addresses,
        gathered_bytes=workers * OUTCOME_BYTES,
        driver_per_s=DRIVER_ASKS_PER_S,
        controller_per_s=workers / _POLL_S,
    )
