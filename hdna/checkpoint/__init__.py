"""Checkpoints: full fp32 parameters and Adam moments by name, independent of world size and ZeRO stage, no pickles."""

from hdna.checkpoint.files import (
    Snapshot,
    commit_checkpoint,
    load_checkpoint,
    load_weights,
    read_state,
    write_part,
)
from hdna.checkpoint.listing import (
    CheckpointRef,
    checkpoint_damage,
    free_place,
    list_checkpoints,
    newest_whole,
    prune,
)

__all__ = [
    "Snapshot",
    "CheckpointRef",
    "write_part",
    "commit_checkpoint",
    "load_checkpoint",
    "load_weights",
    "read_state",
    "list_checkpoints",
    "newest_whole",
    "checkpoint_damage",
    "free_place",
    "prune",
]
