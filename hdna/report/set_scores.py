"""Scores of each shard set by itself, repeats and unique sequence apart, as a run's files have them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdna.errors import InputError
from hdna.report.charts import is_drawn
from hdna.run.files import BASELINES, read_json, read_metrics_lines
from hdna.storage.untrusted_json import parse_json

TEST = "test.json"
_KEY = b'"valid_sets"'
_MODELS = ("entropy", "unigram", "markov")


@dataclass(frozen=True)
class SetScore:
    """Bits per base on one set."""

    bits_per_base: float
    bases: int | None
    repeats: float | None
    """Of soft-masked bases; None if there are none."""
    unique: float | None
    """Of the others."""


@dataclass(frozen=True)
class SetScores:
    """What is known of the sets of a run; empty where nothing is."""

    valid: dict[int, dict[str, SetScore]] = field(default_factory=dict)
    """By step and assembly."""
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    """Simple models' bits per base on each set, by assembly and name."""
    test: dict[str, SetScore] = field(default_factory=dict)
    """On the test split, at the end."""
    test_all: SetScore | None = None
    """On all of the test split."""


def read_set_scores(run_url: str) -> SetScores:
    """Read them; what is damaged is left out."""
    valid: dict[int, dict[str, SetScore]] = {}
    for line in read_metrics_lines(run_url):
        if _KEY in line and (columns := _columns(line)) and isinstance(step := columns.get("step"), int):
            valid[step] = _scores(columns.get("valid_sets"))
    sets = read_json(run_url, BASELINES).get("sets")
    test = read_json(run_url, TEST)
    return SetScores(
        {step: scores for step, scores in valid.items() if scores},
        {name: _numbers(models) for name, models in sets.items()} if isinstance(sets, dict) else {},
        _scores(test.get("sets")),
        _score(test),
    )


def _columns(line: bytes) -> dict[str, Any]:
    try:
        return parse_json(line, dict[str, Any], "metrics", "the line does not count")
    except InputError:
        return {}


def _scores(found: object) -> dict[str, SetScore]:
    entries = found.items() if isinstance(found, dict) else ()
    return {str(name): score for name, value in entries if (score := _score(value)) is not None}


def _score(value: object) -> SetScore | None:
    if not isinstance(value, Mapping) or (bits := _number(value.get("bits_per_base"))) is None:
        return None
    bases = _number(value.get("bases"))
    return SetScore(
        bits, None if bases is None else int(bases), _number(value.get("repeats")), _number(value.get("unique"))
    )


def _numbers(models: object) -> dict[str, float]:
    entries = models if isinstance(models, dict) else {}
    return {name: bits for name in _MODELS if (bits := _number(entries.get(name))) is not None}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_drawn(value):
        return None
    return float(value)
