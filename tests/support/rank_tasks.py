"""Tasks for the ranks of tests: training runs, and steps that go wrong."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401 - loaded before ranks are forked: brings torch's compiler
import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of tests
import webdataset.tariterators  # noqa: F401 - likewise
from safetensors.torch import save_file

from hdna import storage
from hdna.config import RunConfig, load_recipe
from hdna.data.cache import ShardCache
from hdna.data.collate import Collator, StepBatch
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder
from hdna.data.stream import WindowReader
from hdna.genome import alphabet
from hdna.genome.shard_set import load_shard_set
from hdna.model import HyenaDNA
from hdna.model.filter_cache import MicroStep
from hdna.parallel import Mesh, shard_sequence
from hdna.parallel.mesh import lost_ranks_explained
from hdna.run import tracking
from hdna.run.events import Event, StepDone
from hdna.run.lease import Fence
from hdna.storage import retry
from hdna.train import save_interval
from hdna.train.engine import Engine
from hdna.train.loop import train
from hdna.train.step import micro_batch_nats, optimizer_step, share_of_step
from support.s3 import QUICK

CPU = torch.device("cpu")


def run_training(recipe: Path, overrides: Sequence[str]) -> None:
    """A whole training run, announcing each step once its record is written."""
    train(load_recipe(str(recipe), overrides), CPU, announce)


def run_saved_slowly(
    recipe: Path, overrides: Sequence[str], seconds: float, slow: tuple[str, ...] = (".safetensors",)
) -> None:
    """A run on a disk that takes so long before each part of a checkpoint, or before files with other `slow` ends."""
    write = storage.write_if_absent

    def write_slowly(url: str, data: bytes) -> bool:
        time.sleep(seconds if url.endswith(slow) else 0)
        return write(url, data)

    storage.write_if_absent = write_slowly
    run_training(recipe, overrides)


def run_saved_by_time(recipe: Path, overrides: Sequence[str]) -> None:
    """A run that is to be saved at once by the clock of rank 0, and never by that of any other."""
    save_interval.SHORTEST_S = math.inf if dist.get_rank() else 0.0
    run_training(recipe, [*overrides, "checkpoint.every_steps=null"])


def run_impatient(recipe: Path, overrides: Sequence[str]) -> None:
    """A run that tries again as often as any, but sooner."""
    retry.RETRY = QUICK
    run_training(recipe, overrides)


def run_fenced(recipe: Path, overrides: Sequence[str], number: int) -> None:
    """A run whose driver has the lease of that number."""
    config = load_recipe(str(recipe), overrides)
    train(config, CPU, announce, fence=Fence(config.run.url, number))


def run_tracked(recipe: Path, overrides: Sequence[str]) -> None:
    """A run that does not wait long for its trackers at the end."""
    tracking.LAST_CALL_S = 0.2
    run_training(recipe, overrides)


def announce(event: Event) -> None:
    """Print a step as its line of metrics.jsonl, anything else as it is."""
    print(event.record.to_line().decode().rstrip() if isinstance(event, StepDone) else event, flush=True)


def run_absent(recipe: Path, overrides: Sequence[str]) -> None:
    """A backward pass that the last rank never reaches: the others wait in DeepSpeed's own process group."""
    config = load_recipe(str(recipe), overrides)
    engine, sampled = prepared(config)
    if dist.get_rank() == dist.get_world_size() - 1:
        time.sleep(600)
    with lost_ranks_explained():
        (micro_batch,) = sampled(0).micro_batches
        engine.backward(micro_batch_nats(engine, micro_batch, 0, MicroStep()), 1.0, last=True)
        engine.step(0.0)


def run_poisoned(recipe: Path, out: Path) -> None:
    """A good step, one with an infinite loss on the last rank only, and a good one again, under every ZeRO stage."""
    mesh = Mesh.of_this_process()
    for zero in (0, 1, 2, 3):
        config = load_recipe(str(recipe), [f"parallel.zero_stage={zero}", f"parallel.workers={mesh.world_size}"])
        engine, sampled = prepared(config)
        batch = sampled(0)
        first = batch.micro_batches[0]
        found: dict[str, torch.Tensor] = {}
        for number, poison in enumerate((1.0, float("inf"), 1.0)):
            if mesh.rank == mesh.world_size - 1:
                batch.micro_batches[0] = replace(
                    first, soft_mask=torch.ones_like(first.tokens) > 0, repeat_weight=poison
                )
            result = optimizer_step(engine, mesh, batch, learning_rate=1e-2)
            found |= {f"{number}.{name}": value.clone() for name, value in engine.parameters()}
            found[f"{number}.finite"] = torch.tensor(result.finite)
        for micro_batch in batch.micro_batches:
            micro_batch.tokens.fill_(alphabet.N)
        empty = optimizer_step(engine, mesh, batch, learning_rate=1e-2)
        found["empty"] = torch.tensor([empty.finite, empty.bases == 0, empty.grad_norm == 0, empty.loss != empty.loss])
        if mesh.is_leader:
            save_file(found, out / f"zero-{zero}.safetensors")


def run_frozen(recipe: Path, out: Path, settings: dict[str, list[str]]) -> None:
    """Two steps under ZeRO 0, 1 and 3 and each of the settings: the weights before and after, and gradient norms."""
    mesh = Mesh.of_this_process()
    for zero in (0, 1, 3):
        for name, overrides in settings.items():
            layout = [f"parallel.zero_stage={zero}", f"parallel.workers={mesh.world_size}"]
            engine, sampled = prepared(load_recipe(str(recipe), [*layout, *overrides]))
            found = {f"0.{key}": value.clone() for key, value in engine.parameters()}
            for number in (1, 2):
                result = optimizer_step(engine, mesh, sampled(number), learning_rate=1e-3)
                found |= {f"{number}.{key}": value.clone() for key, value in engine.parameters()}
                found[f"{number}.norm"] = torch.tensor(result.grad_norm, dtype=torch.float64)
            if mesh.is_leader:
                save_file(found, out / f"{name}-{zero}.safetensors")


def prepared(config: RunConfig) -> tuple[Engine, Callable[[int], StepBatch]]:
    """An engine for a recipe's first stage, its accumulation set, and a function for this rank's batch of a step."""
    curriculum = Curriculum.of(config)
    windows = WindowReader([load_shard_set(url) for url in config.data.shards], "train", ShardCache())
    order = DataOrder(windows.tables, curriculum, config.run.seed)
    torch.manual_seed(config.run.seed)
    model = HyenaDNA(config.model)
    model.backbone.activation_checkpointing = config.parallel.activation_checkpointing
    engine = Engine(model, config, CPU)
    stage = curriculum.stage(0)
    mesh = Mesh.of_this_process(stage.sequence_parallel)
    shard_sequence(model, mesh, config.parallel.long_conv)
    collator = Collator(windows.read_batch, config.data, config.run.seed)
    engine.set_accumulation(stage.accumulation(mesh.data_parallel_size))
    return engine, lambda step: share_of_step(collator, step, stage, order.batch(step), mesh)
