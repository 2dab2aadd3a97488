"""The genome as the program sees it: tokens, intervals, genome stores and shard sets. No torch."""

from typing import TYPE_CHECKING, Any

from hdna.genome.interval import Interval

if TYPE_CHECKING:
    from hdna.genome.store import GenomeStore

__all__ = ["GenomeStore", "Interval"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute)
    """Import `GenomeStore` on first use: importing zarr takes a second that training workers can save."""
    if name == "GenomeStore":
        from hdna.genome.store import GenomeStore

        return GenomeStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
