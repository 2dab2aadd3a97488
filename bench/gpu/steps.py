"""One optimizer step of published geometries on the device: memory beside `hdna plan`'s, time beside its lower bounds.

DeepSpeed and one rank, as in training (NCCL on a GPU). The last row is the longest context that the project is for.
"""

from typing import Any

import torch
from one_rank import one_rank

from hdna.benchmark.timing import seconds
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.data.curriculum import Curriculum
from hdna.devices import Device, device_called
from hdna.genome import alphabet
from hdna.model import HyenaDNA
from hdna.model.filter_cache import MicroStep
from hdna.train.engine import Engine
from hdna_cluster.plan import estimate

MEMORY_TOLERANCE, TIMES_BOUND = 0.10, 3.0
"""Wanted: peak memory within a tenth of the plan's, time within three times its bound."""
WIDE, NARROW = "d_model: 256, n_layer: 8", "d_model: 128, n_layer: 2"
CASES = (
    (WIDE, 1024, 256, False),
    (WIDE, 8192, 16, False),
    (WIDE, 32768, 8, True),
    (WIDE, 131072, 2, True),
    (WIDE, 2**20, 1, True),
    (NARROW, 2**20, 1, True),
    (WIDE, 2**22, 1, True),
)
"""Model, context length, micro-batch, activation checkpointing."""
REDUCED = ((NARROW, 256, 2, False), (NARROW, 512, 1, True))
RECIPE = """
run: {{url: unused}}
model: {{{model}, l_max: {length}, embed_dropout: 0.1}}
data: {{shards: [unused]}}
curriculum: [{{context_length: {length}, until_tokens: {tokens}, micro_batch_size: {batch}, sequence_parallel: 1}}]
optim: {{global_batch_tokens: {tokens}}}
parallel: {{workers: 1, zero_stage: 1, precision: {precision}, activation_checkpointing: {recompute}}}
"""


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """A row for each case; one that memory does not suffice for says so."""
    rows: list[dict[str, Any]] = []
    with one_rank(device):
        for model, length, batch, recompute in REDUCED if reduced else CASES:
            recipe = RECIPE.format(
                model=model,
                length=length,
                batch=batch,
                tokens=batch * length,
                precision="bf16" if device.type == "cuda" else "fp32",
                recompute=str(recompute).lower(),
            )
            rows.append(_row(parse_recipe(recipe, "bench/gpu/steps.py"), device))
    problems = [
        f"{row['case']}: {row['error']}"
        if "error" in row
        else f"{row['case']}: memory {row['memory_ratio']:.2f} of plan"
        for row in rows
        if "error" in row or abs(row["memory_ratio"] - 1) > MEMORY_TOLERANCE
    ]
    problems += [
        f"{row['case']}: {row['times_bound']:.1f} times its bound"
        for row in rows
        if row.get("times_bound", 0.0) > TIMES_BOUND
    ]
    return {"rows": rows, "problems": problems if device.type == "cuda" else []}


def _row(config: RunConfig, device: torch.device) -> dict[str, Any]:
    model, stage = config.model, Curriculum.of(config).stages[0]
    case = f"{model.n_layer} x {model.d_model}, {stage.micro_batch_size} x {stage.context_length:,}"
    known = device_called(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    planned = estimate(config, stage, known or Device("CPU", 2**34))
    try:
        taken, peak = _step(config, device)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {"case": case, "error": f"out of memory; planned {planned.total / 2**30:.1f} GiB"}
    tokens = stage.micro_batch_size * stage.context_length
    row = {
        "case": case,
        "checkpointing": config.parallel.activation_checkpointing,
        "seconds": taken,
        "tokens_per_second": tokens / taken,
        "model_tflops": planned.step_flops / taken / 1e12,
        "planned_gib": planned.total / 2**30,
        "peak_gib": peak / 2**30,
        "memory_ratio": peak / planned.total,
    }
    if planned.bounds:
        row |= {"bound_seconds": planned.bounds.seconds, "times_bound": taken / planned.bounds.seconds}
    return row


def _step(config: RunConfig, device: torch.device) -> tuple[float, int]:
    """Seconds of a step that is not the first, and the peak bytes of live tensors."""
    torch.manual_seed(0)
    net = HyenaDNA(config.model)
    net.backbone.activation_checkpointing = config.parallel.activation_checkpointing
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    engine = Engine(net.to(device), config, device)
    stage = config.curriculum[0]
    ids_BL = torch.randint(alphabet.A, alphabet.T + 1, (stage.micro_batch_size, stage.context_length), device=device)
    weights_BL = torch.ones(ids_BL.shape, device=device)
    net.backbone.micro_step = MicroStep()

    def step() -> None:
        engine.set_accumulation(1)
        engine.backward(engine.nats(ids_BL, ids_BL, weights_BL), float(ids_BL.numel()), last=True)
        engine.step(1e-4)

    step()
    taken = min(seconds(step, device) for _ in range(2))
    peak = torch.cuda.max_memory_allocated(device) - before if device.type == "cuda" else 0
    engine._deepspeed_engine.destroy()
    return taken, peak
