"""The files under a run's URL, by name, and how to read and write them.

recipe.yaml       as resolved               state.json         where it is, and whether its driver lives
metrics.jsonl     one line per step         baselines.json     simple models on the valid split
environment.json  versions and hardware     test.json          score of the test split, at the end
tracked_as.json   its id in trackers
checkpoints/  tensorboard/  report/  wandb/
"""

import json
from typing import Any

from hdna import storage
from hdna.errors import InputError
from hdna.run.step_record import StepRecord
from hdna.storage.untrusted_json import parse_json

RECIPE = "recipe.yaml"
METRICS = "metrics.jsonl"
STATE = "state.json"
BASELINES = "baselines.json"
ENVIRONMENT = "environment.json"
TEST = "test.json"
TRACKED_AS = "tracked_as.json"
WEIGHTS_FROM = "weights from"
"""The entry of ENVIRONMENT about the weights that the run began from, if it began from any."""


def read_metrics(run_url: str) -> list[StepRecord]:
    """The steps in a run's metrics.jsonl, in line order; empty if there is no such file."""
    records = (StepRecord.from_line(line) for line in read_metrics_lines(run_url))
    return [record for record in records if record is not None]


def read_metrics_lines(run_url: str) -> list[bytes]:
    """The lines of a run's metrics.jsonl with their line ends; empty if there is no such file."""
    try:
        return storage.read(storage.join(run_url, METRICS)).splitlines(keepends=True)
    except FileNotFoundError:
        return []


def read_json(run_url: str, name: str) -> dict[str, Any]:
    """Read one of a run's JSON files; empty if there is no such file, or it is damaged: none of them is needed."""
    url = storage.join(run_url, name)
    try:
        return parse_json(storage.read(url), dict[str, Any], url, "a run can do without it")
    except (FileNotFoundError, InputError):
        return {}


def write_json(run_url: str, name: str, value: dict[str, Any]) -> None:
    """Write one of a run's JSON files."""
    storage.write(storage.join(run_url, name), json.dumps(value, indent=1).encode() + b"\n")
