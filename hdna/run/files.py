"""The files under a run's URL, by name, and how to read them.

recipe.yaml       as resolved               state.json         status and position, for people and other programs
metrics.jsonl     one line per step         baselines.json     what simple models reach on the valid split
environment.json  versions and hardware     checkpoints/  tensorboard/  report/
"""

import json
from typing import Any

from hdna import storage

RECIPE = "recipe.yaml"
METRICS = "metrics.jsonl"
STATE = "state.json"
BASELINES = "baselines.json"
ENVIRONMENT = "environment.json"


def read_metrics(run_url: str) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; none where there is no such file."""
    try:
        lines = storage.read(storage.join(run_url, METRICS)).splitlines()
    except FileNotFoundError:
        return []
    return [record for line in lines if (record := _parsed(line))]


def read_json(run_url: str, name: str) -> dict[str, Any]:
    """One of a run's JSON files; empty where there is no such file."""
    try:
        return _parsed(storage.read(storage.join(run_url, name)))
    except FileNotFoundError:
        return {}


def write_json(run_url: str, name: str, value: dict[str, Any]) -> None:
    """Write one of a run's JSON files."""
    storage.write(storage.join(run_url, name), json.dumps(value, indent=1).encode() + b"\n")


def _parsed(text: bytes) -> dict[str, Any]:
    """A JSON object; empty for one that a killed process left half-written."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
