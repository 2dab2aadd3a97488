"""Which ranks write which parts of a checkpoint, with fewer and with more ranks than there are parameters."""

from pathlib import Path

import pytest
import torch
from support.few_parameters import SHAPES, FewParameters, engine, save_few
from support.ranks import run_ranks

from hdna.checkpoint import checkpoint_url, load_checkpoint
from hdna.parallel import Mesh
from hdna.train.checkpointing import owned_tensors

KINDS = ("parameters", "exp_avg", "exp_avg_sq")


@pytest.mark.parametrize("ranks", [1, 2, 4, 5, 6, 1024])
def test_the_lowest_ranks_own_every_tensor_once(ranks: int) -> None:
    owned = [owned_tensors(engine(len(SHAPES)), Mesh(rank, ranks)) for rank in range(ranks)]
    names = [name for tensors in owned for name in tensors]
    assert sorted(names) == sorted(f"{kind}.{name}" for kind in KINDS for name in SHAPES)
    assert [bool(tensors) for tensors in owned] == [rank < len(SHAPES) for rank in range(ranks)]


@pytest.mark.ranks
@pytest.mark.parametrize(("ranks", "parameters", "parts"), [(3, 5, 3), (4, 2, 2)])
def test_ranks_that_own_no_tensors_write_no_part(ranks: int, parameters: int, parts: int, tmp_path: Path) -> None:
    run_ranks(ranks, save_few, run=str(tmp_path), parameters=parameters)
    url = checkpoint_url(str(tmp_path), 1, 0)
    expected = [f"part-{part:05d}-of-{parts:05d}.safetensors" for part in range(parts)]
    assert sorted(path.name for path in Path(url).iterdir()) == ["MANIFEST.json", *expected, "state.json"]
    saved, source = load_checkpoint(url).tensors, FewParameters(parameters)
    assert saved.keys() == set(KINDS)
    for kind in KINDS:
        values = dict(source.parameters() if kind == "parameters" else source.moments(kind))
        assert saved[kind].keys() == values.keys()
        assert all(torch.equal(saved[kind][name], value) for name, value in values.items())
