"""Steps whose blocks replay CUDA graphs beside the same steps launched kernel by kernel: same weights, less time.

Three optimizer steps of two micro steps each in fp32, so that accumulated gradients and changed weights are seen; then
the time of a step in bf16. A third model, launched as well, shows how far two such runs are apart by themselves.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from hdna.benchmark.timing import interleaved
from hdna.config.schema import ModelConfig
from hdna.model import HyenaDNA
from hdna.model.filter_cache import MicroStep
from hdna.model.graphed import GraphedBlocks

CASES = ((8, 1024, False), (256, 1024, False), (8, 32768, True))
"""Samples, context length, activation checkpointing; 8 layers of width 256."""
REDUCED = ((2, 64, False), (2, 64, True))
TOLERANCE = 1e-4
"""Of each parameter's largest value, after three steps of fp32: sums in another order."""


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """A row for each case; on a CPU, which has no graphs, all sides are the same."""
    rows = [_row(device, *case) for case in (REDUCED if reduced else CASES)]
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
    difference, name = _largest_difference(models["graphed"], models["launched"])
    by_itself, _ = _largest_difference(models["again"], models["launched"])
    del models["again"]
    for model in models.values():
        if model.backbone.graphed is not None:
            model.backbone.graphed = _graphed(model)  # the other holds fp32
        _step(model, ids_BL, bf16=True)
    runs = {name: partial(_step, model, ids_BL, bf16=True) for name, model in models.items()}
    case = f"{layers} x {width}, {batch} x {length:,}, {'recomputed' if recompute else 'kept'}"
    seconds = interleaved(runs, device, 5)
    return {"case": case, "difference": difference, "of": name, "by_itself": by_itself, "seconds": seconds}


def _model(config: ModelConfig, recompute: bool, device: torch.device, graphed: bool) -> HyenaDNA:
    torch.manual_seed(0)
    model = HyenaDNA(config).to(device)
    model.backbone.activation_checkpointing = recompute
    if graphed and device.type == "cuda":
        model.backbone.graphed = _graphed(model)
    return model


def _graphed(model: HyenaDNA) -> GraphedBlocks:
    return GraphedBlocks(model.backbone.run, list(model.backbone.blocks.parameters()))


def _largest_difference(model: HyenaDNA, other: HyenaDNA) -> tuple[float, str]:
    differences = []
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        difference = (mine - theirs).detach().abs().max() / theirs.detach().abs().max()
        differences.append((float(difference), name))
    return max(differences)


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
