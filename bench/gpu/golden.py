"""The reference's golden vectors on the device, TF32 off: logits, loss and gradients within 1e-5."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from hdna.config.schema import ModelConfig
from hdna.interop import from_reference
from hdna.model import IGNORE, HyenaDNA, weighted_nats

TOLERANCE = 1e-5
"""The reference law's, max|a - b| / max|b|."""
ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "tests" / "golden", ROOT.parent / "shared" / "golden")


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """The largest error of each file, and which tensor has it."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    files = {path.name: path for folder in FOLDERS for path in sorted(folder.glob("*.safetensors"))}
    rows, problems = [], []
    for path in list(files.values())[: 1 if reduced else None]:
        name, error = max(_errors(path, device).items(), key=lambda item: item[1])
        rows.append({"file": path.name, "largest_error": error, "of": name})
        if not error <= TOLERANCE:
            problems.append(f"{path.name}: {name} is off by {error:.1e}")
    return {"rows": rows, "problems": problems}


def _errors(path: Path, device: torch.device) -> dict[str, float]:
    with safe_open(path, "pt") as file:
        written = json.loads(file.metadata()["config"])
        golden = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    known = {field.name for field in fields(ModelConfig)}
    config = ModelConfig(
        **{key: value for key, value in written.items() if key in known}, shift=0.05, embed_dropout=0.0
    )
    model = HyenaDNA(config)
    model.load_state_dict(from_reference(_below(golden, "weights.")), strict=True)
    model.to(device)
    ids = golden["input_ids"].to(device)
    targets = ids.roll(-1, dims=1)
    targets[:, -1] = written["ignore_index"]
    targets = torch.where(targets == written["ignore_index"], IGNORE, targets)
    logits = model(ids)
    loss = weighted_nats(logits, targets, torch.ones(targets.shape, device=device)) / (targets != IGNORE).sum()
    loss.backward()
    wanted = from_reference(_below(golden, "grads."))
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    errors = {"logits": _relative(logits, golden["logits"]), "loss": _relative(loss, golden["loss"])}
    return errors | {name: _relative(found[name], wanted[name]) for name in wanted}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _relative(found: Tensor | None, wanted: Tensor) -> float:
    assert found is not None
    return float((found.detach().cpu() - wanted).abs().max() / wanted.abs().max())
