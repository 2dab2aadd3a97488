"""An hour of pretraining, `tiny_16k`, on the genome at $HDNA_GENOME or 100 million synthetic bases; then it is stopped.

Ten billion tokens of it are at a context of 16,384; the lengths before take a quarter of an hour at 3 million tokens a
second.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from commands import prepare, train

HOUR_S, REDUCED_S = 3600.0, 45.0
SMALL = ["model.d_model=16", "model.l_max=1026", "optim.global_batch_tokens=4096", "evaluate.max_bases=8192"]
SMALL += ["curriculum=[{context_length: 1024, until_tokens: 16384, micro_batch_size: 2}]", "parallel.precision=fp32"]


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """One row."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, 400_000 if reduced else 100_000_000, 16384)
        row = train(folder, "tiny_16k", SMALL if reduced else [], REDUCED_S if reduced else HOUR_S)
    return {"rows": [row], "problems": [] if row["ended_well"] else ["the run did not end well"]}
