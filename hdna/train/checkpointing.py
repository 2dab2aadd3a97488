"""Saving and restoring the engine: which rank writes which tensors, and how a run is restored."""

import torch

from hdna.checkpoint import (
    LoadedCheckpoint,
    RunState,
    checkpoint_url,
    commit_checkpoint,
    next_attempt,
    write_checkpoint_part,
)
from hdna.checkpoint.files import PARAMETERS
from hdna.parallel.mesh import Mesh
from hdna.storage.manifest import FileEntry
from hdna.train.engine import MOMENTS, Engine


def save(engine: Engine, mesh: Mesh, run_url: str, state: RunState) -> str:
    """Write and commit a checkpoint and return its URL; called by all ranks.

    Each rank writes the tensors it owns; rank 0 commits when all parts are written.
    """
    mine = next_attempt(run_url, state.step) if mesh.is_leader else 0
    attempt = int(mesh.sum(torch.tensor(mine, device=engine.device)))
    url = checkpoint_url(run_url, state.step, attempt)
    entry = write_checkpoint_part(url, mesh.rank, mesh.world_size, _owned_tensors(engine, mesh))
    entries = mesh.gather(_packed(entry).to(engine.device)).cpu()
    if mesh.is_leader:
        commit_checkpoint(run_url, state, attempt, [_unpacked(row) for row in entries])
    mesh.barrier()
    return url


def restore(engine: Engine, saved: LoadedCheckpoint) -> None:
    """Load a checkpoint's moments; its parameters were loaded into the model before the engine was built."""
    engine.restore({moment: saved.tensors[moment] for moment in MOMENTS}, saved.state.updates)


def _owned_tensors(engine: Engine, mesh: Mesh) -> dict[str, torch.Tensor]:
    """The tensors this rank writes. Every rank briefly holds each full tensor: gathering is collective."""
    owner = _owners(engine, mesh.world_size)
    kinds = [(PARAMETERS, engine.parameters()), *((moment, engine.moments(moment)) for moment in MOMENTS)]
    return {
        f"{kind}.{name}": tensor.detach().to("cpu", torch.float32, copy=True)
        for kind, tensors in kinds
        for name, tensor in tensors
        if owner[name] == mesh.rank
    }


def _owners(engine: Engine, ranks: int) -> dict[str, int]:
    """The rank that writes each parameter: largest first, to the rank with the fewest elements so far."""
    load = [0] * ranks
    owner = {}
    for name, elements in sorted(engine.sizes().items(), key=lambda item: (-item[1], item[0])):
        owner[name] = load.index(min(load))
        load[owner[name]] += elements
    return owner


def _packed(entry: FileEntry) -> torch.Tensor:
    return torch.tensor(list(entry.bytes.to_bytes(8, "big") + bytes.fromhex(entry.sha256)), dtype=torch.uint8)


def _unpacked(row: torch.Tensor) -> FileEntry:
    data = bytes(row.tolist())
    return FileEntry(int.from_bytes(data[:8], "big"), data[8:].hex())
