"""Training with a tracker that hangs gives the numbers of training without; one that works is told of a failure."""

import socket
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from support.rank_tasks import run_tracked, run_training
from support.ranks import run_ranks, start_ranks

from hdna.run.files import read_metrics

pytestmark = pytest.mark.ranks


def test_a_tracker_that_hangs_changes_no_number(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ranks(1, run_training, recipe=tiny_recipe, overrides=[f"run.url={tmp_path / 'alone'}"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        overrides = [f"run.url={tmp_path / 'tracked'}", "run.trackers=mlflow"]
        (rank,) = run_ranks(1, run_tracked, recipe=tiny_recipe, overrides=overrides)
    assert "mlflow: has not taken the last steps within 0.2 s; training goes on" in rank.output()
    alone, tracked = (
        [(found.step, found.loss, found.grad_norm, found.valid_loss) for found in read_metrics(str(tmp_path / name))]
        for name in ("alone", "tracked")
    )
    assert len(alone) == 10 and tracked == alone


def test_a_run_that_fails_is_a_failed_one_there(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    too_fast = ["optim.learning_rate=1e15", "optim.warmup_fraction=0"]
    overrides = [f"run.url={tmp_path / 'run'}", "run.trackers=mlflow", "run.project=p", *too_fast]
    (rank,) = start_ranks(1, run_training, recipe=tiny_recipe, overrides=overrides)
    assert rank.wait() == 1
    client = MlflowClient()
    experiment = client.get_experiment_by_name("p")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    steps = client.get_metric_history(run.info.run_id, "schedule/tokens")
    assert [point.step for point in steps] == [found.step for found in read_metrics(str(tmp_path / "run"))]
