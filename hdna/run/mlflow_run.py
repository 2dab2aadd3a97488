"""A run in MLflow. The door to mlflow, of which the client alone (mlflow-skinny) is enough."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from hdna.run.provenance import code_commit
from hdna.run.scalars import VALID, scalars
from hdna.run.status import DONE, FAILED, STOPPED
from hdna.run.step_record import StepRecord
from hdna.run.tracking import DEFAULT_PROJECT, TrackedRun
from hdna.run.utc import unix_seconds, utc_now

_ID_TAG, _COMMIT_TAG = "hdna.run", "mlflow.source.git.commit"
_TOKENS = "schedule/tokens"
"""The curve that every step has, and that only rises."""
_MAX_METRICS, _MAX_PARAMS = 1000, 100
"""Of one request, by MLflow's REST API."""
_ENDED = {DONE: "FINISHED", STOPPED: "KILLED", FAILED: "FAILED"}
_NOT_IN_NAMES = re.compile(r"[^\w.\- /]")


class MlflowRun:
    """MLflow's run with the tag of the same id: it goes on after the last step that the server has."""

    def __init__(self, run: TrackedRun) -> None:
        """Raises what mlflow does when its server refuses or is out of reach."""
        self._settings = run.settings
        self._client = MlflowClient()
        self._in_folder = urlsplit(self._client.tracking_uri).scheme in ("", "file")
        name = run.project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_PROJECT
        known = self._client.get_experiment_by_name(name)
        self._experiment = known.experiment_id if known else self._client.create_experiment(name)
        found = self._client.search_runs([self._experiment], f"tags.`{_ID_TAG}` = '{run.id}'", max_results=1)
        tags = {_ID_TAG: run.id, _COMMIT_TAG: code_commit()}
        self._run = found[0] if found else self._client.create_run(self._experiment, tags=tags, run_name=run.name)
        self._id = self._run.info.run_id
        self._tokens = self._run.data.metrics.get(_TOKENS, 0.0)
        if found:
            self._client.update_run(self._id, status="RUNNING")
        if not self._run.data.params:  # they never change again: a resumed run keeps those it began with
            self._log_settings(run.settings)

    @property
    def where(self) -> str:
        """The server, and the run's place there."""
        return f"{self._client.tracking_uri}, experiment {self._experiment}, run {self._id}"

    def log(self, records: Sequence[StepRecord]) -> None:
        """Send the curves; a server that takes them twice keeps them once, as they are the same to the millisecond."""
        metrics = [
            Metric(self._name(curve), value, round(unix_seconds(record.time or utc_now()) * 1e3), record.step)
            for record in records
            if record.tokens > self._tokens
            for curve, value in scalars(record, self._settings).items()
        ]
        for first in range(0, len(metrics), _MAX_METRICS):
            self._client.log_batch(self._id, metrics[first : first + _MAX_METRICS], synchronous=True)

    def end(self, status: str) -> None:
        """Say how the run ended."""
        self._client.set_terminated(self._id, _ENDED[status])

    def _name(self, curve: str) -> str:
        """TensorBoard's, of the letters that MLflow allows; in a folder a curve is a file, and has none below it."""
        name = VALID + "/mean" if curve == VALID and self._in_folder else curve
        return _NOT_IN_NAMES.sub("_", name)

    def _log_settings(self, settings: Mapping[str, Any]) -> None:
        params = [Param(key, str(value)) for key, value in settings.items()]
        for first in range(0, len(params), _MAX_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + _MAX_PARAMS], synchronous=True)
