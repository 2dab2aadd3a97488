"""A loss or gradient that is not finite changes nothing, on any rank; five in a row end the run with advice."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.rank_tasks import run_poisoned, run_training
from support.ranks import run_ranks, start_ranks

from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_poisoned_step_leaves_the_weights_and_the_next_step_works(
    world_size: int, tiny_recipe: Path, tmp_path: Path
) -> None:
    run_ranks(world_size, run_poisoned, recipe=tiny_recipe, out=tmp_path)
    for zero in (0, 1, 2, 3):
        found = load_file(tmp_path / f"zero-{zero}.safetensors")
        names = [key[2:] for key in found if key.startswith("0.") and key != "0.finite"]
        assert found["empty"].all()  # a batch of nothing but N: no loss, gradient zero, no error
        assert [bool(found[f"{number}.finite"]) for number in range(3)] == [True, False, True]
        assert all(torch.equal(found[f"0.{name}"], found[f"1.{name}"]) for name in names)
        assert all(found[f"2.{name}"].isfinite().all() for name in names)
        assert any(not torch.equal(found[f"1.{name}"], found[f"2.{name}"]) for name in names)


def test_five_in_a_row_end_the_run_with_advice(tiny_recipe: Path, tmp_path: Path) -> None:
    overrides = [f"run.url={tmp_path / 'run'}", "optim.learning_rate=1e15", "optim.warmup_fraction=0"]
    (rank,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=overrides)
    assert rank.wait() == 1
    assert "was not finite for 5 steps up to step" in rank.errors()
    assert "lower optim.learning_rate" in rank.errors()
    records = read_metrics(str(tmp_path / "run"))
    assert [record.skipped for record in records[-2:]] == [3, 4]
    assert records[-1].loss is None
