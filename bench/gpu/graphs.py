"""Steps whose blocks replay CUDA graphs beside the same steps launched kernel by kernel: same weights, less time.

Three optimizer steps of two micro steps each in fp32, so that accumulated gradients and changed weights are seen; then
the time of a step in bf16. A third model, launched as well, shows how far two such runs are apart by themselves. Last,
the same steps under DeepSpeed's ZeRO 1, whose rank on a GPU talks through NCCL.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from one_rank import one_rank
from steps import NARROW, RECIPE

from hdna.benchmark.timing import interleaved
from hdna.config.recipe import parse_recipe
from hdna.config.schema import ModelConfig
from hdna.model import HyenaDNA
from hdna.model.filter_cache import MicroStep
from hdna.train.engine import Engine

CASES = ((8, 1024, False), (256, 1024, False), (8, 32768, True))
"""Samples, context length, activation checkpointing; 8 layers of width 256."""
REDUCED = ((2, 64, False), (2, 64, True))
TOLERANCE = 1e-4
"""Of each parameter's largest value, after three steps of fp32: sums in another order."""


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """A row for each case; on a CPU, which has no graphs, all sides are the same."""
    rows = [_row(device, *case) for case in (REDUCED if reduced else CASES)]
    rows.append(_under_deepspeed(device, reduced))
    problems = [
        f"{row['case']}: {row['of']} differs by {row['difference']:.1e}, without graphs by {row['by_itself']:.1e}"
        for row in rows
        if row["difference"] > max(TOLERANCE, 3 * row["by_itself"])
    ]
    return {"rows": rows, "problems": problems}


def _row(device: torch.device, batch: int, length: int, recompute: bool) -> dict[str, Any]:
    width, layers = (256, 8) if device.type == "cuda" else (16, 2)
    config = ModelConfig(d_model=width, n_layer=layers, l_max=length, embed_dropout=0.1)
    models = {name: _model(config, recompute, device, name == "graphed") for name in ("graphed", "launched", "again")}
    generator = torch.Generator().manual_seed(0)
    ids_BL = torch.randint(7, 11, (batch, 16), generator=generator).repeat(1, length // 16).to(device)
    for step in range(3):
        for model in models.values():
            _step(model, ids_BL.roll(step, 1), bf16=False)
    tensors = {name: dict(model.named_parameters()) for name, model in models.items()}
    difference, of = _largest(tensors["graphed"], tensors["launched"])
    by_itself, _ = _largest(tensors["again"], tensors["launched"])
    del models["again"]
    for model in models.values():
        model.backbone.use_cuda_graphs(model is models["graphed"] and device.type == "cuda")  # the former holds fp32
        _step(model, ids_BL, bf16=True)
    runs = {name: partial(_step, model, ids_BL, bf16=True) for name, model in models.items()}
    case = f"{layers} x {width}, {batch} x {length:,}, {'recomputed' if recompute else 'kept'}"
    seconds = interleaved(runs, device, 5)
    return {"case": case, "difference": difference, "of": of, "by_itself": by_itself, "seconds": seconds}


def _under_deepspeed(device: torch.device, reduced: bool) -> dict[str, Any]:
    length = 64 if reduced else 1024
    recipe = RECIPE.format(model=NARROW, length=length, batch=2, tokens=4 * length, precision="fp32", recompute="false")
    config = parse_recipe(recipe, "bench/gpu/graphs.py")
    ids_BL = torch.randint(7, 11, (2, length), generator=torch.Generator().manual_seed(0)).to(device)
    models, seconds = [], {}
    with one_rank(device):
        for name in ("graphed", "launched", "again"):
            torch.manual_seed(0)
            model = HyenaDNA(config.model).to(device)
            engine = Engine(model, config, device)
            model.backbone.use_cuda_graphs(name == "graphed" and device.type == "cuda")
            run = partial(_engine_step, engine, ids_BL)
            for _ in range(3):
                run()
            models.append(dict(engine.parameters()))
            seconds[name] = interleaved({name: run}, device, 5)[name]
    (difference, of), (by_itself, _) = (_largest(models[other], models[1]) for other in (0, 2))
    case = f"{NARROW}, 2 x {length:,}, ZeRO 1"
    return {"case": case, "difference": difference, "of": of, "by_itself": by_itself, "seconds": seconds}


def _engine_step(engine: Engine, ids_BL: torch.Tensor) -> None:
    engine.set_accumulation(2)
    for number in range(2):
        engine.module.model.backbone.micro_step = MicroStep(first=number == 0, last=number == 1)
        nats = engine.nats(ids_BL, ids_BL.roll(-1 - number, 1), torch.ones(ids_BL.shape, device=ids_BL.device))
        engine.backward(nats, float(2 * ids_BL.numel()), last=number == 1)
    engine.step(1e-4)


def _model(config: ModelConfig, recompute: bool, device: torch.device, graphed: bool) -> HyenaDNA:
    torch.manual_seed(0)
    model = HyenaDNA(config).to(device)
    model.backbone.activation_checkpointing = recompute
    model.backbone.use_cuda_graphs(graphed and device.type == "cuda")
    return model


def _largest(tensors: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> tuple[float, str]:
    """The largest difference relative to a tensor's largest value, and the tensor's name."""
    return max(
        (float((tensors[name] - other).detach().abs().max() / other.detach().abs().max()), name)
        for name, other in others.items()
    )


def _step(model: HyenaDNA, ids_BL: torch.Tensor, bf16: bool) -> None:
    """Two micro steps and an update."""
    for number in range(2):
        model.backbone.micro_step = MicroStep(first=number == 0, last=number == 1)
        with torch.autocast(ids_BL.device.type, torch.bfloat16, enabled=bf16):
            logits = model(ids_BL)
        F.cross_entropy(logits.flatten(0, 1).float(), ids_BL.roll(-1 - number, 1).flatten()).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.sub_(parameter.grad, alpha=1e-3)
            parameter.grad = None
