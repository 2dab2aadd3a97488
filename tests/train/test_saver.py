"""Checkpoints are written behind training: what it waits for, and what becomes of a save that fails."""

from pathlib import Path

import pytest
import torch
from support.rank_tasks import run_fenced, run_saved_by_time, run_saved_slowly, run_training
from support.ranks import Rank, run_ranks, start_ranks

from hdna import storage
from hdna.checkpoint import list_checkpoints, load_weights
from hdna.run.step_record import StepRecord

pytestmark = pytest.mark.ranks


def saved_steps(run: Path) -> list[int]:
    return [ref.step for ref in list_checkpoints(str(run))]


def happenings(rank: Rank) -> list[str]:
    """Steps by number and checkpoints, in the order in which they were announced."""
    found = []
    for line in rank.output().splitlines():
        if record := StepRecord.from_line(line.encode()):
            found.append(str(record.step))
        elif line.startswith("CheckpointSaved"):
            found.append(line.partition(",")[0].replace("CheckpointSaved(step=", "saved "))
    return found


def test_steps_go_on_during_a_save_and_wait_for_it_when_the_next_is_due(tiny_recipe: Path, tmp_path: Path) -> None:
    """Each save takes longer than the steps up to the next one; what is saved is the step it was begun after."""
    six_steps = ["curriculum.0.until_tokens=8192", "curriculum.1.until_tokens=12288"]
    overrides = [f"run.url={tmp_path / 'slow'}", *six_steps]
    (rank,) = run_ranks(1, run_saved_slowly, recipe=tiny_recipe, overrides=overrides, seconds=1.5)
    assert happenings(rank) == [*"1234", "saved 2", *"56", "saved 4", "saved 6"]
    said = [line for line in rank.output().splitlines() if "training waited" in line]
    assert len(said) == 1 and said[0].startswith("the checkpoint of step 2 was still being written when that of step 4")
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={tmp_path / 'quick'}", *six_steps])
    for step in (2, 4, 6):
        slow, quick = (load_weights(f"{tmp_path}/{name}/checkpoints/step-{step:06d}") for name in ("slow", "quick"))
        assert all(torch.equal(slow[name], value) for name, value in quick.items())


def test_the_clock_of_rank_0_decides_for_all(tiny_recipe: Path, tmp_path: Path) -> None:
    """Clocks differ: were each rank to ask its own, they would wait for each other in different collectives."""
    run = tmp_path / "run"
    overrides = [f"run.url={run}", "parallel.workers=2", "curriculum.0.micro_batch_size=1"]
    leader, _ = run_ranks(2, run_saved_by_time, recipe=tiny_recipe, overrides=overrides)
    assert {1, 10} <= set(saved_steps(run))
    assert sum("from now on" in line for line in leader.output().splitlines()) == 1


def test_one_rank_that_cannot_write_costs_one_checkpoint_and_nothing_else(tiny_recipe: Path, tmp_path: Path) -> None:
    """Its name is taken by a folder; the other rank has written its part by then."""
    run = tmp_path / "run"
    (run / "checkpoints" / "step-000004" / "part-00001-of-00002.safetensors").mkdir(parents=True)
    overrides = [f"run.url={run}", "parallel.workers=2", "curriculum.0.micro_batch_size=1"]
    leader, _ = run_ranks(2, run_training, recipe=tiny_recipe, overrides=overrides)
    assert saved_steps(run) == [2, 6, 8, 10]
    (line,) = [line for line in leader.output().splitlines() if "was not saved" in line]
    assert line.startswith("the checkpoint of step 4 was not saved: rank 1: ")
    assert line.endswith("(1 in a row; 3 end the run)")


def test_the_third_failure_in_a_row_ends_the_run(tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").write_text("no folder")
    (rank,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={tmp_path / 'run'}"])
    assert rank.wait() != 0
    said = [line for line in rank.output().splitlines() if "was not saved" in line]
    assert len(said) == 3 and all("step-0000" in line and "Not a directory" in line for line in said)
    assert rank.errors().splitlines()[-1].startswith("hdna.train.save.SaveFailedError: ")
    assert happenings(rank)[-1] == "8", "the fourth save finds that the third has failed"


def test_a_last_save_that_fails_fails_the_run(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "step-000010" / "part-00000-of-00001.safetensors").mkdir(parents=True)
    (rank,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={run}"])
    assert rank.wait() != 0
    assert saved_steps(run) == [2, 4, 6, 8]


def test_a_worker_group_whose_driver_has_lost_the_run_commits_nothing(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    storage.write(f"{run}/lease/000008.json", b"{}")
    (rank,) = start_ranks(1, run_fenced, recipe=tiny_recipe, overrides=[f"run.url={run}"], number=7)
    assert rank.wait() != 0
    assert saved_steps(run) == []
    assert "another driver has taken this run over" in rank.output()
    run_ranks(1, run_fenced, recipe=tiny_recipe, overrides=[f"run.url={run}"], number=8)
    assert saved_steps(run) == [2, 4, 6, 8, 10]
