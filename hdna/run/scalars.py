"""A step's record as curves: names that a tracker draws side by side, train and valid in one unit and one group."""

from collections.abc import Mapping
from typing import Any

from hdna.run.step_record import StepRecord

VALID = "bits_per_base/valid"
_NAMES = {
    "bits_per_base": "bits_per_base/train",
    "valid_bits_per_base": VALID,
    "grad_norm": "gradient_norm/before_clipping",
    "learning_rate": "schedule/learning_rate",
    "context_length": "schedule/context_length",
    "tokens": "schedule/tokens",
    "tokens_per_second": "speed/tokens_per_second",
    "data_wait_fraction": "speed/data_wait_fraction",
    "tflops_per_worker": "speed/tflops_per_worker",
    "mfu": "speed/mfu",
    "memory_gib": "memory/gib",
}


def scalars(record: StepRecord, settings: Mapping[str, Any]) -> dict[str, float]:
    """The record's numbers by curve; what was not measured is left out. `settings`: the recipe's, by dotted key."""
    found = {name: getattr(record, field) for field, name in _NAMES.items()}
    found["gradient_norm/clip"] = settings.get("optim.clip_norm")
    for assembly, score in (record.valid_sets or {}).items():
        found[f"{VALID}/{assembly}"] = score["bits_per_base"]
        found |= {f"{VALID}_{part}/{assembly}": score[part] for part in ("unique", "repeats")}
    return {name: float(value) for name, value in found.items() if value is not None}
