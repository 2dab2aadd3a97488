"""The commands of a user, run by stages: a genome prepared, and a recipe trained through Ray."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hdna.run.files import read_metrics

HDNA = Path(sys.executable).with_name("hdna")
GENOME = "HDNA_GENOME"
"""Environment variable: a FASTA file to train on instead of a synthetic genome."""


def prepare(folder: Path, bases: int, window: int) -> None:
    """Shards of the genome at $HDNA_GENOME, or of a synthetic one of so many bases."""
    fasta = os.environ.get(GENOME) or str(folder / "genome.fa.gz")
    if GENOME not in os.environ:
        _hdna("prep", "synth", "--out", fasta, "--bases", str(bases), "--contigs", "8")
    _hdna("prep", "genome", fasta, "--out", str(folder / "store.zarr"))
    _hdna("prep", "shards", str(folder / "store.zarr"), "--out", str(folder / "shards"), "--window", str(window))


def train(folder: Path, recipe: str, overrides: list[str], limit_s: float | None = None) -> dict[str, Any]:
    """What became of a run that was told to stop after `limit_s`: its speed by stage and its scores."""
    url = str(folder / recipe)
    began = time.monotonic()
    command = [str(HDNA), "train", recipe, f"data.shards=[{folder / 'shards'}]", f"run.url={url}", *overrides]
    with subprocess.Popen(command, stdout=sys.stderr) as run:
        try:
            run.wait(limit_s)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGTERM)  # it saves a checkpoint and ends
            run.wait()
    taken, steps = time.monotonic() - began, read_metrics(url)
    stopped = limit_s is not None and taken >= limit_s
    return {
        "recipe": recipe,
        "ended_well": run.returncode == 0 or (stopped and bool(steps)),
        "command_seconds": taken,
        "beyond_steps_seconds": taken - sum(step.seconds or 0.0 for step in steps),
        "steps": len(steps),
        "tokens": steps[-1].tokens if steps else 0,
        "tokens_per_second": {step.context_length: step.tokens_per_second for step in steps},
        "mfu": {step.context_length: step.mfu for step in steps},
        "valid_bits_per_base": [step.valid_bits_per_base for step in steps if step.valid_bits_per_base is not None],
    }


def _hdna(*command: str) -> None:
    subprocess.run([HDNA, *command], check=True, stdout=sys.stderr)
