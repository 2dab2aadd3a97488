"""Between engine and checkpoint: which rank writes which tensors, and how a run is restored."""

import torch

from hdna.checkpoint import LoadedCheckpoint, load_newest
from hdna.checkpoint.files import MOMENTS, PARAMETERS
from hdna.config import RunConfig
from hdna.errors import InputError
from hdna.model import HyenaDNA
from hdna.parallel.mesh import Mesh
from hdna.run.events import Report
from hdna.train.engine import Engine


def shared(mesh: Mesh, device: torch.device, saved: LoadedCheckpoint | None) -> LoadedCheckpoint | None:
    """Rank 0's checkpoint, on every rank: one decision where to resume, and one read of the bucket.

    `saved` counts on rank 0 only.
    """
    data = mesh.broadcast(saved.to_bytes() if saved else b"", device)
    return LoadedCheckpoint.from_bytes(data) if data else None


def newest(config: RunConfig, data: dict[str, str], report: Report) -> LoadedCheckpoint | None:
    """The newest intact checkpoint, which the run goes on from; `report` hears of newer ones and why they are not it.

    `data`: the shard sets' checksums. Raises InputError when it is none of this recipe's.
    """
    saved, passed_over = load_newest(config.run.url)
    for problem in passed_over:
        report(f"skipped a damaged checkpoint: {problem}")
    if saved:
        refuse_unfit(saved, config, data)
        if saved.state.data != data:
            report(f"run.resume=force: the shard sets are others than those {saved.url} was trained on")
    return saved


def refuse_unfit(saved: LoadedCheckpoint, config: RunConfig, data: dict[str, str]) -> None:
    """Raise InputError when a checkpoint is not a position of this recipe on these shard sets.

    `data`: the sets' checksums, as in `RunState.data`. With run.resume=force the user answers for all but its sums.
    """
    url, state, advice = saved.url, saved.state, "use an earlier checkpoint, or choose another run.url"
    if state.updates + state.skipped != state.step:
        raise InputError(
            f"{url}: {state.updates} updates and {state.skipped} skipped are not step {state.step}: {advice}"
        )
    if config.run.resume == "force":
        return
    changed = "give the recipe it was saved under, choose another run.url, or continue with run.resume=force"
    if (state.tokens, state.seed) != (state.step * config.optim.global_batch_tokens, config.run.seed):
        raise InputError(f"{url}: tokens or seed are not those of this recipe's step {state.step}: {changed}")
    if state.data != data:
        raise InputError(
            f"{config.run.url}: its shard sets have changed since {url} was saved: give the same data, choose another "
            f"run.url, or continue on the new data with run.resume=force"
        )


def load_parameters(model: HyenaDNA, saved: LoadedCheckpoint) -> None:
    """Give a model a checkpoint's parameters. Raises InputError when they are another model's."""
    try:
        model.load_state_dict(saved.tensors[PARAMETERS])
    except RuntimeError as error:
        raise InputError(
            f"{saved.url}: is of another model ({str(error).splitlines()[-1].strip()}): choose another run.url, or "
            f"other weights to begin from"
        ) from None


def restore(engine: Engine, saved: LoadedCheckpoint) -> None:
    """Load a checkpoint's moments; its parameters were loaded into the model before the engine was built."""
    engine.restore({moment: saved.tensors[moment] for moment in MOMENTS}, saved.state.updates)


def owned_tensors(engine: Engine, mesh: Mesh) -> dict[str, torch.Tensor]:
    """Copies in host memory of the tensors this rank writes; called by all ranks.

    If there are more ranks than parameters, the lowest ones get one each and the others none: some 100 objects in a
    bucket, and not 1,000 of which 900 are empty. Every rank briefly holds each full tensor: gathering is collective.
    """
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
