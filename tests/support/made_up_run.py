"""A small made-up run: written by hand, not by the code that trains."""

import json
from pathlib import Path
from typing import Any, Protocol

import torch

from hdna.checkpoint import PARAMETERS, RunState, checkpoint_url, commit_checkpoint, write_checkpoint_part
from hdna.checkpoint.listing import FORMAT
from hdna.config.recipe import parse_recipe
from hdna.model import HyenaDNA
from hdna.storage.manifest import describe_folder, put_manifest

RECIPE = """\
run: {url: runs/made-up, seed: 1}
model: {d_model: 16, n_layer: 2, order: 2, l_max: 256}
data: {shards: ['data/<script>alert(1)</script>']}
curriculum:
- {context_length: 64, until_tokens: 3072, micro_batch_size: 2}
- {context_length: 256, until_tokens: 5120, micro_batch_size: 1}
optim: {global_batch_tokens: 512}
"""
BASELINES = {"entropy": 1.99, "unigram": 1.995, "markov": 1.93, "train_bases": 9000, "valid_bases": 1234}
CHECKSUM = "ab" * 32
STATE = {"tokens": 0, "stage": 0, "updates": 0, "skipped": 0, "seed": 1, "recipe": RECIPE, "data": {"0": CHECKSUM}}


class MakeRun(Protocol):
    """Writes a run, with the metrics given or else with `metrics()`, and returns its folder."""

    def __call__(self, lines: list[dict[str, Any]] | None = None) -> Path: ...


def metrics() -> list[dict[str, Any]]:
    """Ten steps of 512 tokens: six of stage 0, four of stage 1; step 4 is skipped, steps 3, 6, 8 and 10 evaluated."""
    lines = []
    for step in range(1, 11):
        bits: float | None = [4.0, 2.1, 2.0, None, 1.98, 1.97, 1.96, 1.955, 1.95, 1.945][step - 1]
        line = {
            "step": step,
            "tokens": 512 * step,
            "stage": int(step > 6),
            "context_length": 256 if step > 6 else 64,
            "loss": None if bits is None else bits * 0.6931471805599453,
            "bits_per_base": bits,
            "learning_rate": 0.001 * (11 - step),
            "grad_norm": None if bits is None else 1.0 / step,
            "tokens_per_second": 1000.0 + 10 * step,
            "memory_gib": 0.5 + 0.01 * step,
            "skipped": int(step >= 4),
        }
        valid = {3: 2.005, 6: 1.975, 8: 1.96, 10: 1.951}.get(step)
        if valid:
            line |= {"valid_loss": valid * 0.6931471805599453, "valid_bits_per_base": valid, "valid_bases": 1234}
        lines.append(line)
    return lines


def write_run(run: Path, lines: list[dict[str, Any]]) -> None:
    """Write the run's files, with the metrics given, to the new folder `run`."""
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "recipe.yaml").write_text(RECIPE)
    (run / "baselines.json").write_text(json.dumps(BASELINES))
    (run / "state.json").write_text(json.dumps({"status": "done", "host": "h", "pid": 1}))
    (run / "environment.json").write_text(json.dumps({"torch": "9.9", "device": "CPU <b>&"}))
    for step in (5, 10):
        folder = run / "checkpoints" / f"step-{step:06d}"
        folder.mkdir(parents=True)
        (folder / "part.safetensors").write_bytes(b"x" * 2**21)
        (folder / "state.json").write_text(json.dumps(STATE | {"step": step}))
        put_manifest(str(folder), FORMAT, {"step": step}, describe_folder(folder))
    (run / "checkpoints" / "step-000011").mkdir()
    (run / "checkpoints" / "step-000011" / "part.safetensors").write_bytes(b"never committed")


def save_whole(run: Path, state: RunState) -> None:
    """A checkpoint of the made-up run's model; it replaces the made-up ones, which are no tensors."""
    attempt = int(state.step == 10)
    model = HyenaDNA(parse_recipe(state.recipe, "recipe").model)
    tensors: dict[str, torch.Tensor] = {}
    for kind in (PARAMETERS, "exp_avg", "exp_avg_sq"):
        tensors |= {f"{kind}.{name}": torch.zeros(value.shape) for name, value in model.named_parameters()}
    part = write_checkpoint_part(checkpoint_url(str(run), state.step, attempt), 0, 1, tensors)
    commit_checkpoint(str(run), state, attempt, [part])
