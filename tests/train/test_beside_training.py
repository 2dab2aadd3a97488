"""What goes on beside training fails for real, and the run ends with all its steps and says what failed."""

import shutil
from pathlib import Path

import pytest
from support.rank_tasks import run_training
from support.ranks import run_ranks, start_ranks

from hdna.checkpoint import list_checkpoints
from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


def test_plots_and_pruning_fail_and_the_run_ends_well(tiny_recipe: Path, tmp_path: Path) -> None:
    """A file is where TensorBoard's folder should be, and an old checkpoint was moved and linked to."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (killed,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={run}"])
    killed.wait_for_step(4)
    killed.kill()
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").write_text("")
    shutil.move(run / "checkpoints" / "step-000002", elsewhere)
    (run / "checkpoints" / "step-000002").symlink_to(elsewhere)
    overrides = [f"run.url={run}", "checkpoint.keep_last=1"]
    (rank,) = run_ranks(1, run_training, recipe=tiny_recipe, overrides=overrides)
    said = [line for line in rank.output().splitlines() if "beside training" in line or "training goes on" in line]
    assert len(said) == 3, rank.output()
    assert f"{run}/tensorboard: " in said[0]
    assert "removal of old checkpoints: " in said[1] and "Not a directory" in said[1]
    assert "times something beside training failed: " in said[2]
    assert [record.step for record in read_metrics(str(run))] == list(range(1, 11))
    assert list_checkpoints(str(run))[-1].step == 10
