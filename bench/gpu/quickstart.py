"""The quickstart as `make train` runs it: a synthetic genome, its shards, Ray, and the recipe to its end."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from commands import prepare, train

SHORT = ["curriculum.0.until_tokens=16384", "curriculum.1.until_tokens=32768", "evaluate.max_bases=8192"]


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """One row."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, 400_000 if reduced else 4_000_000, 8192 if reduced else 65536)
        row = train(folder, "quickstart", SHORT if reduced else [])
    return {"rows": [row], "problems": [] if row["ended_well"] else ["the run did not end well"]}
