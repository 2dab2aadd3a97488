"""Embedders on ranks that share each sequence: for those whose pass does not fit one device."""

from collections.abc import Callable
from pathlib import Path

import torch

from hdna.downstream.embed.embedder import Embedder, Wanted
from hdna.downstream.embed.parts import Part, PartFiles
from hdna.downstream.embed.sequences import Origin
from hdna.downstream.subject import load_subject
from hdna.parallel import Mesh


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
