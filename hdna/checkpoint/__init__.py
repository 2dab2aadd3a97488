"""Checkpoints: full fp32 parameters and Adam moments by name, independent of world size and ZeRO stage, no pickles."""

from hdna.checkpoint.files import (
    MOMENTS,
    PARAMETERS,
    LoadedCheckpoint,
    bytes_of,
    commit_checkpoint,
    load_checkpoint,
    load_newest,
    load_run_or_checkpoint,
    load_weights,
    tensors_of,
    weights_url,
    write_checkpoint_part,
)
from hdna.checkpoint.listing import (
    CheckpointRef,
    checkpoint_damage,
    checkpoint_url,
    list_checkpoints,
    newest_intact,
    next_attempt,
    run_of,
)
from hdna.checkpoint.retention import prune, remove_interrupted
from hdna.checkpoint.state import RunState, read_state

__all__ = [
    "LoadedCheckpoint",
    "CheckpointRef",
    "RunState",
    "PARAMETERS",
    "MOMENTS",
    "tensors_of",
    "bytes_of",
    "weights_url",
    "write_checkpoint_part",
    "commit_checkpoint",
    "load_checkpoint",
    "load_newest",
    "load_run_or_checkpoint",
    "load_weights",
    "read_state",
    "list_checkpoints",
    "checkpoint_url",
    "run_of",
    "newest_intact",
    "checkpoint_damage",
    "next_attempt",
    "prune",
    "remove_interrupted",
]
