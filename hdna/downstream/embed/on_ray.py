"""Embedders on Ray, with one model each."""

from collections.abc import Iterable, Iterator

from hdna.downstream.embed.embedder import Embedder, Wanted
from hdna.downstream.embed.flow import Numbered, Run
from hdna_cluster.batches import map_on_ray


def on_ray(workers: int | None) -> Run:
    """Run with so many workers; None: one per GPU of the cluster, or per processor if it has none."""

    def run(checkpoint: str, wanted: Wanted, messages: Iterable[Numbered]) -> Iterator[Numbered]:
        return map_on_ray(Embedder.load, (checkpoint, wanted), messages, workers)

    return run
