"""bf16 beside fp32 on the device, over 500 steps of training, as `bench/bf16.py` does on a CPU."""

from typing import Any

import torch
from bf16 import TOLERANCE, Setting, apart, both

FULL = Setting(steps=500, width=128, context=1024, samples=8, bases=1_000_000)
REDUCED = Setting(steps=4, width=32, context=512, samples=4, bases=100_000)


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """Valid bits per base, by precision."""
    rows = list(both(REDUCED if reduced else FULL, device))
    off = apart(rows)
    return {"rows": rows, "problems": [f"bf16 ends {off:.2%} away from fp32"] if off > TOLERANCE else []}
