"""A loss or gradient that is not finite changes nothing, on any rank; five in a row end the run with advice."""

import pytest
import torch
from ranks import start_ranks
from safetensors.torch import load_file

from hdna.run.files import read_metrics


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_poisoned_step_leaves_the_weights_and_the_next_step_works(world_size, tiny_recipe, tmp_path, run_ranks):
    run_ranks(world_size, "poisoned", recipe=tiny_recipe, out=tmp_path)
    for zero in (0, 1, 2, 3):
        found = load_file(tmp_path / f"zero-{zero}.safetensors")
        names = [key[2:] for key in found if key.startswith("0.") and key != "0.finite"]
        assert found["empty"].all()  # a batch of nothing but N: no loss, gradient zero, no error
        assert [bool(found[f"{number}.finite"]) for number in range(3)] == [True, False, True]
        assert all(torch.equal(found[f"0.{name}"], found[f"1.{name}"]) for name in names)
        assert all(found[f"2.{name}"].isfinite().all() for name in names)
        assert any(not torch.equal(found[f"1.{name}"], found[f"2.{name}"]) for name in names)


def test_five_in_a_row_end_the_run_with_advice(tiny_recipe, tmp_path):
    overrides = [f"run.url={tmp_path / 'run'}", "optim.learning_rate=1e15", "optim.warmup_fraction=0"]
    (process,) = start_ranks(1, "train", recipe=tiny_recipe, overrides=overrides)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "was not finite for 5 steps up to step" in err
    assert "lower optim.learning_rate" in err
    records = read_metrics(str(tmp_path / "run"))
    assert [record.skipped for record in records[-2:]] == [3, 4]
    assert records[-1].loss is None
