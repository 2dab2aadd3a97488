"""Between a running engine and a checkpoint: who writes which tensors, and how a run is put back."""

import torch

from hdna.checkpoint import Snapshot, commit_checkpoint, free_place, write_part
from hdna.checkpoint.files import PARAMETERS, checkpoint_url
from hdna.checkpoint.state import RunState
from hdna.parallel.mesh import Mesh
from hdna.storage.manifest import FileEntry
from hdna.train.engine import MOMENTS, Engine


def save(engine: Engine, mesh: Mesh, run_url: str, state: RunState) -> str:
    """Write and commit a checkpoint; all ranks together. Each rank writes its share; rank 0 commits when all are there.

    Gives the checkpoint's URL.
    """
    retry = int(mesh.sum(torch.tensor(free_place(run_url, state.step) if mesh.leads else 0, device=engine.device)))
    url = checkpoint_url(run_url, state.step, retry)
    entry = write_part(url, mesh.rank, mesh.world_size, _share(engine, mesh))
    entries = mesh.gather(_packed(entry).to(engine.device)).cpu()
    if mesh.leads:
        parts = [_unpacked(row) for row in entries]
        commit_checkpoint(run_url, state.step, retry, parts, state.as_json())
    mesh.barrier()
    return url


def restore(engine: Engine, snapshot: Snapshot, updates: int) -> None:
    """Give the engine a checkpoint's moments; its parameters were loaded into the model before the engine was built."""
    engine.restore({moment: snapshot.tensors[moment] for moment in MOMENTS}, updates)


def _share(engine: Engine, mesh: Mesh) -> dict[str, torch.Tensor]:
    """The rank's tensors. Every rank sees each one whole for a moment: gathering is collective."""
    owner = _owners(engine, mesh.world_size)
    kinds = [(PARAMETERS, engine.parameters()), *((moment, engine.moments(moment)) for moment in MOMENTS)]
    return {
        f"{kind}.{name}": tensor.detach().to("cpu", torch.float32, copy=True)
        for kind, tensors in kinds
        for name, tensor in tensors
        if owner[name] == mesh.rank
    }


def _owners(engine: Engine, ranks: int) -> dict[str, int]:
    """Rank that writes each parameter: the largest first, each to the rank with the least so far."""
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
