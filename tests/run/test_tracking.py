"""W&B and MLflow, the real packages: what they have of a run is metrics.jsonl, each step once, and never in its way."""

import socket
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from support.wandb_files import offline_runs

from hdna.config import load_recipe
from hdna.config.schema import Tracker
from hdna.errors import InputError
from hdna.run import tracking
from hdna.run.best_effort import BestEffort
from hdna.run.events import Event
from hdna.run.files import read_metrics
from hdna.run.metrics import Metrics
from hdna.run.scalars import scalars
from hdna.run.status import DONE, FAILED, STOPPED
from hdna.run.step_record import StepRecord
from hdna.run.utc import unix_seconds
from hdna.train.preflight import preflight

SETTINGS = {"run.project": "yeast", "optim.clip_norm": 0.5, "curriculum.0.context_length": 64}
KEPT_FREE = ("HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both trackers without a network: whatever would reach for it meets a listener that must hear nothing."""
    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as network:
        network.setblocking(False)
        for name in KEPT_FREE:
            monkeypatch.setenv(name, f"http://127.0.0.1:{network.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("WANDB_MODE", "offline")
        monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
        monkeypatch.setenv("WANDB_X_DISABLE_STATS", "true")
        monkeypatch.delenv("WANDB_DIR", raising=False)
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
        monkeypatch.chdir(home)
        yield tmp_path
        with pytest.raises(BlockingIOError):
            network.accept()
    assert not (home / "wandb").exists() and not (home / "mlruns").exists()


def record(step: int, bits: float = 1.95) -> StepRecord:
    sets = {"hg38+ce11": {"bits_per_base": 1.9, "bases": 10, "unique": 1.92, "repeats": None}}
    scored = {"valid_bits_per_base": 1.9, "valid_sets": sets} if step == 2 else {}
    time = f"2026-11-26T12:00:0{step}Z"
    return StepRecord(step, 64 * step, 0, 64, bits_per_base=bits - step / 8, grad_norm=0.7, time=time, **scored)  # type: ignore[arg-type]


def tracked(run: Path, trackers: list[Tracker], resumed: int, steps: range, status: str) -> list[Event]:
    """Log some steps of a run, to its end; what was reported."""
    said: list[Event] = []
    metrics = Metrics(str(run), resumed, BestEffort(said.append), settings=SETTINGS, trackers=trackers)
    for step in steps:
        metrics.log(record(step))
    metrics.close(status)
    return said


def curves(run: Path) -> dict[int, dict[str, float]]:
    """What TensorBoard shows of each step in metrics.jsonl."""
    return {found.step: scalars(found, SETTINGS) for found in read_metrics(str(run))}


def mlflow_run() -> Run:
    """The only run of the project."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name("yeast")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def mlflow_curves(run: Run) -> dict[int, dict[str, float]]:
    """Every value that MLflow has, by step and name."""
    found: dict[int, dict[str, float]] = {}
    for name in run.data.metrics:
        for point in MlflowClient().get_metric_history(run.info.run_id, name):
            assert name not in found.setdefault(point.step, {}), f"{name} twice at step {point.step}"
            assert point.timestamp == unix_seconds(f"2026-11-26T12:00:0{point.step}Z") * 1000
            found[point.step][name] = point.value
    return found


def test_a_run_that_failed_and_was_resumed_is_one_run_with_each_step_once(offline: Path) -> None:
    """It had got to step 4, and is resumed after step 2: for MLflow after what it has, for W&B in a new folder."""
    run = offline / "runs" / "first"
    said = tracked(run, ["wandb", "mlflow"], 0, range(1, 5), FAILED)
    assert mlflow_run().info.status == "FAILED"
    said += tracked(run, ["wandb", "mlflow"], 2, range(3, 6), DONE)
    assert len(said) == 4 and not any("training goes on" in str(line) for line in said), said
    expected = curves(run)
    assert list(expected) == [1, 2, 3, 4, 5]

    first, second = offline_runs(run)
    assert (first.id, first.exit_code, list(first.history)) == (second.id, 1, [1, 2, 3, 4])
    assert (second.name, second.project, second.exit_code) == ("first", "yeast", 0)
    assert second.config["curriculum"] == {"0": {"context_length": 64}}
    for step, row in second.history.items():
        assert row["_timestamp"] == unix_seconds(f"2026-11-26T12:00:0{step}Z")
    own = {step: {k: v for k, v in row.items() if k[0] != "_"} for step, row in second.history.items()}
    assert own == expected

    ended = mlflow_run()
    assert (ended.info.run_name, ended.info.status) == ("first", "FINISHED")
    assert ended.data.params["optim.clip_norm"] == "0.5"
    valid = "bits_per_base/valid"
    renamed = {(f"{valid}/mean" if k == valid else k.replace("+", "_")): v for k, v in expected[2].items()}
    assert mlflow_curves(ended) == expected | {2: renamed}


def test_what_an_outage_held_back_is_sent_once_it_is_over(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_PAUSE_S", 0.02)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    said: list[Event] = []
    metrics = Metrics(str(offline / "run"), 0, BestEffort(said.append), settings=SETTINGS, trackers=["mlflow"])
    metrics.log(record(1))
    end = time.monotonic() + 60
    while not said and time.monotonic() < end:
        time.sleep(0.01)
    assert str(said[0]).startswith("mlflow: ") and str(said[0]).endswith("; training goes on")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    metrics.log(record(2))
    metrics.close(STOPPED)
    assert list(mlflow_curves(mlflow_run())) == [1, 2]
    assert mlflow_run().info.status == "KILLED"


def test_a_server_that_never_answers_holds_up_no_step_and_no_end(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "LAST_CALL_S", 0.2)
    said: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        metrics = Metrics(str(offline / "run"), 0, BestEffort(said.append), settings=SETTINGS, trackers=["mlflow"])
        server.settimeout(60)
        asked, _ = server.accept()
        before = time.thread_time()
        for step in range(1, 6):
            metrics.log(record(step))
        metrics.close()
        assert time.thread_time() - before < 1
        asked.close()
    assert said == ["mlflow: has not taken the last steps within 0.2 s; training goes on"]
    assert list(curves(offline / "run")) == [1, 2, 3, 4, 5]


def test_a_missing_package_or_address_is_said_before_the_run(
    tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match=r"^run.trackers: mlflow: MLFLOW_TRACKING_URI is not set: "):
        preflight(load_recipe(str(tiny_recipe), ["run.trackers=mlflow"]))

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    preflight(load_recipe(str(tiny_recipe)))
    with pytest.raises(InputError) as caught:
        preflight(load_recipe(str(tiny_recipe), ["run.trackers=wandb"]))
    assert str(caught.value) == "run.trackers: wandb is not installed here: pip install 'hdna[wandb]'"
