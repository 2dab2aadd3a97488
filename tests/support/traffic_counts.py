"""What ranks that train small models send and keep: the bytes to other ranks and the collectives of one optimizer step,
over all layers, and the bytes alive after the forward pass of its last micro step.
"""

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests
from torch import Tensor

from hdna.config import ModelConfig
from hdna.model import HyenaDNA, weighted_nats
from hdna.model.filter_cache import MicroStep
from hdna.ops import tiled
from hdna.parallel import Mesh, all_to_all, distributed_fft, shard_sequence
from support.live_bytes import LiveBytes

LAYERS = 2


@dataclass(frozen=True)
class Case:
    """One optimizer step of a small model on every rank of a group."""

    long_conv: str = "all_to_all"
    batch: int = 2
    length: int = 64
    """Positions of each rank."""
    d_model: int = 12
    order: int = 2
    bf16: bool = False
    accumulation: int = 1
    recompute: bool = False
    alone: bool = False
    """Each rank has whole samples and shares none."""
    min_message_bytes: int = 4 * 2**20
    working_bytes: int = 32 * 2**20
    tile: int = 60
    """Positions: fewer than a rank has, or enough for all of them."""

    @property
    def model(self) -> ModelConfig:
        """The small model."""
        return ModelConfig(self.d_model, LAYERS, self.order, l_max=4096, filter_order=8, embed_dropout=0.0)


class Counts(NamedTuple):
    """What one rank was seen to send and keep in a case."""

    sent: int
    """Bytes to other ranks."""
    calls: int
    """Collectives."""
    live: int
    """Bytes alive after the last forward pass, gradients left out."""


class Counter:
    """Stands in for `all_to_all_single`, passes its calls on and counts what leaves this rank."""

    def __init__(self) -> None:
        self.sent = self.calls = 0
        self._really = dist.all_to_all_single

    def __call__(
        self,
        arrived: Tensor,
        message: Tensor,
        received: list[int],
        sent: list[int],
        group: dist.ProcessGroup | None,
        async_op: bool,
    ) -> object:
        others = sum(sent) - sent[dist.get_rank(group)]
        self.sent += others * message.element_size()
        self.calls += 1
        return self._really(arrived, message, received, sent, group=group, async_op=async_op)


def count_cases(cases: Sequence[Case], folder: Path) -> None:
    """Run the cases on this group; each rank writes what it counted to FOLDER/rank-R.json."""
    mesh = Mesh.of_this_process(dist.get_world_size())
    (folder / f"rank-{mesh.rank}.json").write_text(json.dumps([run(case, mesh) for case in cases]))


def counts_of(rank: int, folder: Path) -> list[Counts]:
    """What a rank wrote, case by case."""
    return [Counts(*counts) for counts in json.loads((folder / f"rank-{rank}.json").read_text())]


def run(case: Case, mesh: Mesh) -> Counts:
    """One optimizer step of a case."""
    all_to_all.MIN_MESSAGE_BYTES = case.min_message_bytes
    distributed_fft.WORKING_BYTES = case.working_bytes
    tiled.CPU_TILE = case.tile
    torch.manual_seed(0)
    model = HyenaDNA(case.model)
    model.backbone.activation_checkpointing = case.recompute
    if not case.alone:
        shard_sequence(model, mesh, case.long_conv)
    counter = Counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "all_to_all_single", counter)
        live = step(model, case)
    return Counts(counter.sent, counter.calls, live)


def step(model: HyenaDNA, case: Case) -> int:
    """Micro steps without an update; returns the bytes alive after the last forward pass, gradients left out."""
    shape = (case.batch, case.length)
    ids, targets, weights = torch.full(shape, 7), torch.full(shape, 8), torch.ones(shape)
    alive = 0
    with LiveBytes() as live:
        for number in range(case.accumulation):
            model.backbone.micro_step = MicroStep(number == 0, number == case.accumulation - 1)
            with torch.autocast("cpu", torch.bfloat16) if case.bf16 else nullcontext():
                logits = model(ids)
            nats = weighted_nats(logits, targets, weights)
            del logits
            alive = settled(live) - sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
            nats.backward()
    return alive


def settled(live: LiveBytes) -> int:
    """The bytes alive once gloo's own thread has let go of the last message, a moment after it has arrived."""
    reads = []
    for _ in range(5):
        reads.append(live.total)
        time.sleep(0.002)
    return min(reads)
