"""What a run's files say about it, read once and checked: the facts behind the report's figures and tables."""

import math
import re
from dataclasses import dataclass
from typing import Any

from hdna import storage
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.errors import InputError
from hdna.run.files import BASELINES, ENVIRONMENT, METRICS, RECIPE, STATE, read_json, read_metrics

_CHECKPOINT = re.compile(r"(step-(\d{6,})(?:-r(\d+))?)/MANIFEST\.json")


@dataclass(frozen=True)
class Step:
    """One line of metrics.jsonl; None where the line has no number, NaN never."""

    step: int
    tokens: int
    stage: int
    context_length: int
    bits: float | None
    """Train bits per base; None for a skipped step, and for one whose batch was all N."""
    valid_bits: float | None
    learning_rate: float | None
    grad_norm: float | None
    tokens_per_second: float | None
    memory_gib: float | None
    predicted_bases: float | None

    @property
    def skipped(self) -> bool:
        """Whether the step updated nothing, its loss or gradient not being finite."""
        return self.grad_norm is None or (self.bits is None and self.predicted_bases != 0)


@dataclass(frozen=True)
class StageFacts:
    """What one stage of the curriculum did so far."""

    index: int
    context_length: int
    after_tokens: int
    """Tokens seen before the stage's first step."""
    until_tokens: int
    """Tokens seen after its last step so far."""
    steps: int
    train_bits: float | None
    """Of its last step with a finite loss."""
    valid_bits: float | None
    """Of its last evaluation."""


@dataclass(frozen=True)
class CheckpointFacts:
    """One committed checkpoint."""

    name: str
    step: int
    bytes: int


@dataclass(frozen=True)
class History:
    """A run, finished or not."""

    url: str
    status: str
    steps: list[Step]
    stages: list[StageFacts]
    bars: dict[str, float]
    """Finite numbers of baselines.json by name."""
    environment: dict[str, Any]
    checkpoints: list[CheckpointFacts]
    checksums: dict[str, str]
    """Manifest checksums of the shard sets by their number in the recipe, from the newest checkpoint."""
    recipe: str
    config: RunConfig | None
    """The recipe, parsed; None when it is missing or of another version."""

    @property
    def name(self) -> str:
        """The last part of the run's URL."""
        return self.url.rstrip("/").rpartition("/")[2] or self.url

    @property
    def valid_bits(self) -> float | None:
        """Valid bits per base of the newest evaluation."""
        return next((s.valid_bits for s in reversed(self.steps) if s.valid_bits is not None), None)

    @property
    def skipped(self) -> list[Step]:
        """Steps whose loss or gradient was not finite."""
        return [step for step in self.steps if step.skipped]


def read_history(run_url: str) -> History:
    """Everything the report shows of the run at `run_url`.

    Raises InputError when there is no run, or one that has not finished a step.
    """
    recipe = _text(storage.join(run_url, RECIPE))
    by_number = {step.step: step for record in read_metrics(run_url) if (step := _step(record))}
    if not by_number:
        raise InputError(_nothing_to_show(run_url, recipe))
    steps = [by_number[number] for number in sorted(by_number)]
    checkpoints = _checkpoints(run_url)
    bars = {name: n for name, value in read_json(run_url, BASELINES).items() if (n := _number(value)) is not None}
    return History(
        url=run_url,
        status=str(read_json(run_url, STATE).get("status", "unknown")),
        steps=steps,
        stages=_stages(steps),
        bars=bars,
        environment=read_json(run_url, ENVIRONMENT),
        checkpoints=checkpoints,
        checksums=_checksums(run_url, checkpoints),
        recipe=recipe,
        config=_config(recipe, run_url),
    )


def _nothing_to_show(run_url: str, recipe: str) -> str:
    if recipe:
        return f"{run_url}: the run has no steps in {METRICS} yet: report again once it has trained a while"
    return f"{run_url}: is no run: it has neither {RECIPE} nor {METRICS}: give the run.url of a training run"


def _step(record: dict[str, Any]) -> Step | None:
    """A line's numbers; None for a line that names no step."""
    whole = [record.get(key) for key in ("step", "tokens", "stage", "context_length")]
    if not all(type(value) is int for value in whole):
        return None
    measured = ("learning_rate", "grad_norm", "tokens_per_second", "memory_gib", "predicted_bases")
    keys = ("bits_per_base", "valid_bits_per_base", *measured)
    step, tokens, stage, context_length = (int(value or 0) for value in whole)
    return Step(step, tokens, stage, context_length, *(_number(record.get(key)) for key in keys))


def _number(value: Any) -> float | None:  # noqa: ANN401 - whatever JSON held
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _stages(steps: list[Step]) -> list[StageFacts]:
    stages, seen = [], 0
    for index in sorted({step.stage for step in steps}):
        mine = [step for step in steps if step.stage == index]
        train = [step.bits for step in mine if step.bits is not None]
        valid = [step.valid_bits for step in mine if step.valid_bits is not None]
        last = mine[-1]
        stages.append(
            StageFacts(
                index,
                last.context_length,
                seen,
                last.tokens,
                len(mine),
                train[-1] if train else None,
                valid[-1] if valid else None,
            )
        )
        seen = last.tokens
    return stages


def _checkpoints(run_url: str) -> list[CheckpointFacts]:
    """Committed checkpoints by rising step: those with a manifest."""
    sizes = storage.list_objects(storage.join(run_url, "checkpoints"))
    committed = sorted((int(m[2]), int(m[3] or 0), m[1]) for path in sizes if (m := _CHECKPOINT.fullmatch(path)))
    return [
        CheckpointFacts(name, step, sum(size for path, size in sizes.items() if path.startswith(f"{name}/")))
        for step, _, name in committed
    ]


def _checksums(run_url: str, checkpoints: list[CheckpointFacts]) -> dict[str, str]:
    if not checkpoints:
        return {}
    data = read_json(storage.join(run_url, "checkpoints", checkpoints[-1].name), STATE).get("data")
    return {str(number): str(checksum) for number, checksum in data.items()} if isinstance(data, dict) else {}


def _config(recipe: str, run_url: str) -> RunConfig | None:
    """The recipe parsed; the report of an old run whose recipe no longer parses shows its text alone."""
    try:
        return parse_recipe(recipe, storage.join(run_url, RECIPE))
    except InputError:
        return None


def _text(url: str) -> str:
    try:
        return storage.read(url).decode(errors="replace")
    except FileNotFoundError:
        return ""
