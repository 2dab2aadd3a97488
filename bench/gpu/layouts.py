"""The layout law on the device: two processes share it, by samples and by positions, under either long convolution.

NCCL refuses two processes on one GPU, so they talk through gloo, whose collectives take GPU tensors too. Loss within
1e-6 and gradients within 1e-5 of one process with the whole batch.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist  # noqa: TID251 - the ranks of a bench
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from hdna.config.schema import ModelConfig
from hdna.genome import alphabet
from hdna.model import HyenaDNA, weighted_nats
from hdna.parallel import Mesh, shard_sequence

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5
LAYOUTS = {
    "one process": (1, 1, "all_to_all"),
    "two data ranks": (2, 1, "all_to_all"),
    "two sequence ranks, all_to_all": (2, 2, "all_to_all"),
    "two sequence ranks, distributed_fft": (2, 2, "distributed_fft"),
}
"""Ranks, of which so many share a sample, and the long convolution."""
BATCH = 2


def measure(device: torch.device, reduced: bool) -> dict[str, Any]:
    """Largest differences from one process, by layout."""
    config = ModelConfig(d_model=32 if reduced else 128, n_layer=2, l_max=256 if reduced else 8192, embed_dropout=0.0)
    with TemporaryDirectory() as folder:
        for number, (ranks, degree, long_conv) in enumerate(LAYOUTS.values()):
            out = Path(folder, f"{number}.pt")
            meeting = f"file://{folder}/{number}.store"  # a port that is free now may be taken by then
            arguments = (ranks, degree, long_conv, config, str(device), meeting, out)
            start_processes(_rank, arguments, nprocs=ranks, start_method="spawn")
        found = [torch.load(Path(folder, f"{number}.pt")) for number in range(len(LAYOUTS))]  # noqa: TID251 - our own
    rows, problems = [], []
    for name, tensors in list(zip(LAYOUTS, found, strict=True))[1:]:
        errors = {key: _relative(tensors[key], found[0][key]) for key in tensors}
        loss = errors.pop("loss")
        worst = max(errors, key=lambda key: errors[key])
        rows.append({"layout": name, "loss": loss, "gradient": errors[worst], "of": worst})
        if not (loss <= LOSS_TOLERANCE and errors[worst] <= GRADIENT_TOLERANCE):
            problems.append(f"{name}: loss off by {loss:.1e}, {worst} by {errors[worst]:.1e}")
    return {"rows": rows, "problems": problems}


def _rank(
    rank: int, ranks: int, degree: int, long_conv: str, config: ModelConfig, device_name: str, meeting: str, out: Path
) -> None:
    device = torch.device(device_name)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    torch.manual_seed(0)
    model = HyenaDNA(config).to(device)
    ids_BL = torch.randint(alphabet.A, alphabet.T + 1, (BATCH, config.l_max + 1)).to(device)
    mesh = Mesh.of_this_process(degree)
    shard_sequence(model, mesh, long_conv)
    own = ids_BL.chunk(mesh.data_parallel_size)[mesh.data_parallel_rank]
    span = mesh.slice_of(config.l_max)
    targets_BS = own[:, 1:][:, span]
    nats = weighted_nats(model(own[:, :-1][:, span]), targets_BS, torch.ones(targets_BS.shape, device=device))
    loss = nats / (BATCH * config.l_max)
    loss.backward()
    sums = {"loss": loss.detach()} | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for tensor in sums.values():
        mesh.sum(tensor)
    if rank == 0:
        torch.save({name: tensor.cpu() for name, tensor in sums.items()}, out)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the group, and then abort a process that ends in the ordinary way


def _relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())
