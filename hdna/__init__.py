"""hdna: pretraining of HyenaDNA-style genomic foundation models, from a FASTA file to a checkpoint and a report."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_FOR_USERS = ("HyenaDNA", "Tokenizer")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes of hdna.model
    """`hdna.HyenaDNA` and `hdna.Tokenizer`, imported when they are asked for: `hdna --help` does without torch."""
    if name not in _FOR_USERS:
        raise AttributeError(f"module 'hdna' has no attribute {name!r}")
    return getattr(import_module("hdna.model"), name)
