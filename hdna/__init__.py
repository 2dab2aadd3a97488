"""hdna: pretraining of HyenaDNA-style genomic foundation models, from a FASTA file to a checkpoint and a report."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hdna.model import HyenaDNA, Tokenizer

__version__ = "0.1.0"
__all__ = ["HyenaDNA", "Tokenizer", "__version__"]


def __getattr__(name: str) -> object:
    """HyenaDNA and Tokenizer, imported when they are asked for: `hdna --help` does without torch."""
    if name not in ("HyenaDNA", "Tokenizer"):
        raise AttributeError(f"module 'hdna' has no attribute {name!r}")
    import hdna.model

    return getattr(hdna.model, name)
