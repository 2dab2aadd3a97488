"""Checkpoints of a run that never was: two ranks, two parameters."""

from pathlib import Path

import torch

from hdna.checkpoint import RunState, checkpoint_url, commit_checkpoint, write_checkpoint_part

TENSORS = {
    "parameters.a": torch.arange(6.0).reshape(2, 3),
    "exp_avg.a": torch.ones(2, 3),
    "exp_avg_sq.a": torch.ones(2, 3),
}
OTHERS = {"parameters.b": torch.full((4,), 7.0), "exp_avg.b": torch.zeros(4), "exp_avg_sq.b": torch.zeros(4)}


def save(run: Path, step: int, attempt: int = 0, score: object = None) -> Path:
    """A committed checkpoint; its parameter b is its step, `score` its valid bits per base."""
    url = checkpoint_url(str(run), step, attempt)
    others = {**OTHERS, "parameters.b": torch.full((4,), float(step))}
    parts = [write_checkpoint_part(url, part, 2, tensors) for part, tensors in enumerate((TENSORS, others))]
    commit_checkpoint(str(run), RunState(step=step, tokens=step * 10), attempt, parts, {"valid_bits_per_base": score})
    return Path(url)


def begin(run: Path, step: int, attempt: int = 0) -> Path:
    """A save that was interrupted after its first part."""
    url = checkpoint_url(str(run), step, attempt)
    write_checkpoint_part(url, 0, 2, TENSORS)
    return Path(url)
