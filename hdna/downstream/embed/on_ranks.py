"""Embedders on ranks that share each sequence: for those whose pass does not fit one device."""

from collections.abc import Callable
from pathlib import Path

import torch

from hdna.downstream.embed.embedder import Embedder, Wanted, padded_length
from hdna.downstream.embed.parts import Part, PartFiles
from hdna.downstream.embed.sequences import Origin
from hdna.downstream.embed.work import Work, Worker
from hdna.downstream.subject import load_subject
from hdna.errors import InputError
from hdna.parallel import Mesh
from hdna_cluster.on_ranks import run_on_ranks
from hdna_cluster.session import absolute_url


def on_ranks(ranks: int, say: Callable[[str], None]) -> Worker:
    """So many workers of Ray Train, a GPU each if there are any, that share each sequence; `say` gets their progress.

    Rank 0 writes the parts itself, so that no other process need hold them. Raises InputError where they do not arrive.
    """

    def do(work: Work) -> None:
        padded_length(int(work.sequences.lengths_N.max()), work.subject.config.model.l_max, ranks)  # or they cannot
        origin = work.origin.with_urls(absolute_url)
        arguments = absolute_url(work.subject.url), work.wanted, origin, work.scratch, work.left, work.files
        run_on_ranks(fill_parts, arguments, work.subject.url, ranks, lambda event: say(str(event)))
        if not all(work.files.has(part) for part in work.left):
            raise InputError(
                f"{work.scratch}: what rank 0 wrote is not there: --out must be in a folder that all machines share"
            )

    return do


def fill_parts(
    checkpoint: str,
    wanted: Wanted,
    origin: Origin,
    scratch: Path,
    parts: list[Part],
    files: PartFiles,
    mesh: Mesh,
    device: torch.device,
    tell: Callable[[str], None],
) -> None:
    """Embed the parts' sequences together, and write their files on rank 0; called by all ranks.

    `scratch` is the folder in which rank 0's machine, and all others, find what `origin` was opened with. `tell` is
    called with lines about progress.
    """
    embedder = Embedder(load_subject(checkpoint, device), wanted, mesh)
    sequences = origin.open(scratch, lambda line: None)
    for done, part in enumerate(parts, start=1):
        values = embedder.embed([sequences.read(number) for number in range(part.first, part.last)])
        if mesh.is_leader:
            files.put(part, values.tobytes())
            tell(f"embedding: {done:,} of {len(parts):,} parts")
