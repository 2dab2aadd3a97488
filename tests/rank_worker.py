"""One rank of a test's process group: `rank_worker.py TASK SETTINGS`, joined by gloo through the usual environment."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from hdna.config import RunConfig, load_recipe
from hdna.data.batch import Sampler, StepBatch
from hdna.data.cache import ShardCache
from hdna.data.curriculum import Curriculum
from hdna.data.order import Order
from hdna.data.stream import WindowReader
from hdna.genome.shard import load_shard_set
from hdna.model import HyenaDNA
from hdna.parallel.mesh import Mesh
from hdna.train import engine as engine_module
from hdna.train.engine import Engine
from hdna.train.loop import train
from hdna.train.step import optimizer_step

CPU = torch.device("cpu")


def main() -> None:
    """Join the group, run the task, leave."""
    task, settings = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    {"train": run_training, "gradients": run_gradients, "poisoned": run_poisoned}[task](**settings)
    dist.destroy_process_group()


def run_training(recipe: str, overrides: list[str]) -> None:
    """A whole training run, announcing each step once its record is written."""
    train(load_recipe(recipe, overrides), CPU, lambda event: print(json.dumps(event), flush=True))


class GradientAsWeight(torch.optim.Optimizer):
    """Replaces each weight by the gradient that reached the optimizer: to be read back, to the last bit, in any layout.

    AdamW would divide a wrong gradient scale away, and a difference of fp32 weights has too few digits.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Copy gradients over weights."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.copy_(parameter.grad)


def run_gradients(recipe: str, layouts: list[dict[str, Any]], out: str) -> None:
    """One optimizer step under each layout; writes its loss, gradient norm and (clipped) gradients."""
    engine_module._adamw = lambda groups, device: GradientAsWeight(groups)  # type: ignore[assignment]
    for number, layout in enumerate(layouts):
        config = load_recipe(recipe, [*layout["overrides"], f"parallel.workers={dist.get_world_size()}"])
        _one_step(config, layout["step"], Path(out) / f"layout-{number}.safetensors")


def run_poisoned(recipe: str, out: str) -> None:
    """A good step, one with an infinite loss on the last rank only, and a good one again, under every ZeRO stage."""
    mesh = Mesh.of_this_process()
    for zero in (0, 1, 2, 3):
        config = load_recipe(recipe, [f"parallel.zero_stage={zero}", f"parallel.workers={mesh.world_size}"])
        engine, batch = _prepared(config, 0)
        found: dict[str, torch.Tensor] = {}
        for number, poison in enumerate((1.0, float("inf"), 1.0)):
            if mesh.rank == mesh.world_size - 1:
                batch.micro_batches[0].weights[0, :5] = poison
            result = optimizer_step(engine, mesh, batch, learning_rate=1e-2)
            found |= {f"{number}.{name}": value.clone() for name, value in engine.parameters()}
            found[f"{number}.finite"] = torch.tensor(result.finite)
        for micro_batch in batch.micro_batches:
            micro_batch.weights.zero_()
        empty = optimizer_step(engine, mesh, batch, learning_rate=1e-2)
        found["empty"] = torch.tensor([empty.finite, empty.bases == 0, empty.grad_norm == 0, empty.loss != empty.loss])
        if mesh.leads:
            save_file(found, Path(out) / f"zero-{zero}.safetensors")


def _one_step(config: RunConfig, step: int, out: Path) -> None:
    mesh = Mesh.of_this_process()
    engine, batch = _prepared(config, step)
    result = optimizer_step(engine, mesh, batch, learning_rate=1.0)
    gradients = {name: gradient.clone() for name, gradient in engine.parameters()}
    if mesh.leads:
        loss = {"loss": torch.tensor(result.loss, dtype=torch.float64)}
        norm = {"grad_norm": torch.tensor(result.grad_norm, dtype=torch.float64)}
        save_file({**gradients, **loss, **norm}, out)


def _prepared(config: RunConfig, step: int) -> tuple[Engine, StepBatch]:
    """An engine and this rank's batch of one step, the accumulation set."""
    mesh = Mesh.of_this_process()
    curriculum = Curriculum.of(config)
    windows = WindowReader([load_shard_set(url) for url in config.data.shards], "train", ShardCache())
    order = Order(windows.tables, curriculum, config.run.seed)
    torch.manual_seed(config.run.seed)
    model = HyenaDNA(config.model)
    engine = Engine(model, config, CPU)
    sampler = Sampler(windows.read, config.data, config.run.seed, mesh.rank, mesh.world_size)
    batch = sampler.step_batch(step, curriculum.stage(step), order.batch(step))
    engine.set_accumulation(batch.stage.accumulation(mesh.world_size))
    return engine, batch


if __name__ == "__main__":
    main()
