"""HyenaDNA against attention on the device (`hdna bench attention`), in the paper's setting and with heads of 64."""

import sys
from dataclasses import asdict
from typing import Any

import torch

from hdna.benchmark.attention import Setting, compare

LENGTHS, REDUCED = [2**power for power in (11, 13, 15, 17, 18, 19, 20)], [256, 512]
LIMIT_S = 40.0
"""Of a step: beyond, the table ends."""


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """Seconds of a step of each, and the ratio, by length."""
    rows = []
    for head_dim in (16, 64):
        setting = Setting(head_dim=head_dim, bf16=device.type == "cuda")
        for row in compare(setting, REDUCED if reduced else LENGTHS, device, LIMIT_S, repeats=1):
            rows.append({"head_dim": head_dim, **asdict(row), "ratio": row.ratio})
            print(f"   {rows[-1]}", file=sys.stderr, flush=True)
    return {"rows": rows, "problems": []}
