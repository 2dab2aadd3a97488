"""What ranks that train small models send and keep: the bytes to other ranks and the collectives of one optimizer step,
over all layers, and the bytes alive after the forward pass of its last micro step.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests

from hdna.config import ModelConfig
from hdna.model import HyenaDNA, weighted_nats
from hdna.model.filter_cache import MicroStep
from hdna.parallel import Mesh, all_to_all, distributed_fft, shard_sequence
from support.live_bytes import LiveBytes


class Counter:
    """Stands before `all_to_all_single` and counts what leaves this rank."""

    def __init__(self) -> None:
        self.sent = self.calls = 0
        self._really: Callable[..., Any] = dist.all_to_all_single

    def __call__(self, arrived: Any, message: Any, received: Any, sent: list[int], group: Any, async_op: bool) -> Any:
        others = sum(sent) - sent[dist.get_rank(group)]
        self.sent += others * message.element_size()
        self.calls += 1
        return self._really(arrived, message, received, sent, group=group, async_op=async_op)


def count_cases(cases: list[dict[str, Any]], folder: Path) -> None:
    """Run the cases on this group; each rank writes what it counted to FOLDER/rank-R.json."""
    mesh = Mesh.of_this_process(dist.get_world_size())
    (folder / f"rank-{mesh.rank}.json").write_text(json.dumps([run(case, mesh) for case in cases]))


def run(case: dict[str, Any], mesh: Mesh) -> dict[str, int]:
    """One optimizer step of a case; `alone`: each rank by itself, with whole samples."""
    all_to_all.MIN_MESSAGE_BYTES = case["min_message_bytes"]
    distributed_fft.WORKING_BYTES = case["working_bytes"]
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(**case["model"]))
    model.backbone.activation_checkpointing = case["recompute"]
    if not case["alone"]:
        shard_sequence(model, mesh, case["long_conv"])
    dist.all_to_all_single = counter = Counter()
    try:
        live = step(model, case)
    finally:
        dist.all_to_all_single = counter._really
    return {"sent": counter.sent, "calls": counter.calls, "live": live}


def step(model: HyenaDNA, case: dict[str, Any]) -> int:
    """Micro steps without an update; gives the bytes alive after the last forward pass, gradients left out."""
    shape = (case["batch"], case["length"])
    ids, targets, weights = torch.full(shape, 7), torch.full(shape, 8), torch.ones(shape)
    alive = 0
    with LiveBytes() as live:
        for number in range(case["accumulation"]):
            model.backbone.micro_step = MicroStep(number == 0, number == case["accumulation"] - 1)
            with torch.autocast("cpu", torch.bfloat16) if case["bf16"] else nullcontext():
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
