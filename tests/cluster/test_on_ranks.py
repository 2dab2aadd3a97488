"""A function on ranks of Ray's workers: what rank 0 returns and tells comes back, and so does what it raises."""

from collections.abc import Callable

import pytest
import torch

from hdna.errors import InputError
from hdna.parallel import Mesh
from hdna.run.events import Event
from hdna_cluster.on_ranks import run_on_ranks


@pytest.mark.ray
@pytest.mark.chaos  # two groups of workers take half a minute
def test_what_ranks_find_tell_and_raise_comes_back() -> None:
    def together(first: int, mesh: Mesh, device: torch.device, tell: Callable[[str], None]) -> tuple[float, slice]:
        tell(f"rank {mesh.rank}")
        return float(mesh.sum(torch.tensor(first + mesh.rank, device=device))), mesh.slice_of(100)

    def refused(mesh: Mesh, device: torch.device, tell: Callable[[str], None]) -> None:
        mesh.slice_of(101)

    heard: list[Event] = []
    assert run_on_ranks(together, (10,), "here", 2, heard.append) == (21, slice(0, 50))
    assert heard == ["rank 0"]
    with pytest.raises(InputError, match="context_length=101 cannot be cut into 2 equal slices"):
        run_on_ranks(refused, (), "here", 2, heard.append)
    with pytest.raises(InputError, match="--sequence-parallel=4096: the cluster has"):
        run_on_ranks(refused, (), "here", 4096, heard.append)
