"""Embedders on Ray: of Ray Data, with a model each."""

from hdna.downstream.embed.embedder import Embedder
from hdna.downstream.embed.work import Work, Worker
from hdna_cluster.batches import map_on_ray


def on_ray(workers: int | None) -> Worker:
    """So many workers; None: one per GPU of the cluster, or per processor if it has none."""

    def do(work: Work) -> None:
        work.take(map_on_ray(Embedder.load, (work.subject.url, work.wanted), work.messages(), workers))

    return do
