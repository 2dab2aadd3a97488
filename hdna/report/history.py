"""The facts behind the report's figures and tables, read from a run's files once and checked."""

import sys
from dataclasses import dataclass, replace
from itertools import pairwise

from hdna import storage
from hdna.checkpoint.listing import CheckpointRef, list_checkpoints
from hdna.checkpoint.state import read_state
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.errors import InputError
from hdna.report.set_scores import SetScores, read_set_scores
from hdna.run.files import BASELINES, ENVIRONMENT, METRICS, RECIPE, STATE, read_json, read_metrics
from hdna.run.status import RunStatus, read_status
from hdna.run.step_record import StepRecord
from hdna.run.utc import seconds_between

_PAUSE_S = 3.0
"""No worker group starts sooner; times are whole seconds."""


@dataclass(frozen=True)
class ContextFacts:
    """The steps of one stage that had one context length."""

    context_length: int
    steps: int
    tokens: int
    bits_per_base: float | None
    """Train bits per base of the last of them with a finite loss."""
    valid_bits_per_base: float | None
    """At this context, of the stage's last evaluation."""
    seconds: float | None
    """Wall time of its steps; None if one has none."""


@dataclass(frozen=True)
class StageFacts:
    """The progress of one curriculum stage so far."""

    index: int
    context_length: int
    """The longest."""
    first_token: int
    """Tokens seen before the stage's first step."""
    last_token: int
    """Tokens seen after its last step so far."""
    steps: int
    bits_per_base: float | None
    """Train bits per base of its last step with a finite loss."""
    valid_bits_per_base: float | None
    """Of its last evaluation."""
    contexts: list[ContextFacts]
    """The longest first."""


@dataclass(frozen=True)
class History:
    """A run, finished or not."""

    url: str
    status: str
    live: RunStatus | None
    """What state.json says beside the status; None if it is missing, damaged or of an earlier version."""
    steps: list[StepRecord]
    stages: list[StageFacts]
    baselines: dict[str, float]
    """The finite numbers in baselines.json by name."""
    environment: dict[str, str]
    """The texts in environment.json by name."""
    checkpoints: list[CheckpointRef]
    shard_checksums: dict[str, str]
    """sha256 of each shard set's manifest by its number in the recipe, from the newest checkpoint."""
    recipe: str
    config: RunConfig | None
    """The parsed recipe; None if missing or of another version."""
    sets: SetScores
    """Of each shard set by itself."""

    @property
    def name(self) -> str:
        """The last part of the run's URL."""
        return self.url.rstrip("/").rpartition("/")[2] or self.url

    @property
    def last_scored(self) -> StepRecord | None:
        """The newest step with an evaluation."""
        return next((step for step in reversed(self.steps) if step.valid_bits_per_base is not None), None)

    @property
    def scored_context(self) -> int | None:
        """Context of the newest evaluation: its stage's longest, which need not be that of the step before it."""
        step = self.last_scored
        return next((stage.context_length for stage in self.stages if step and stage.index == step.stage), None)

    @property
    def valid_bits_per_base(self) -> float | None:
        """Of the newest evaluation."""
        return self.last_scored.valid_bits_per_base if self.last_scored else None

    @property
    def productive_seconds(self) -> float:
        """Wall time of the steps that the model was advanced by: those that were done again count once."""
        return sum(step.seconds or 0.0 for step in self.steps)

    def up_to(self, step: int) -> "History":
        """The run as it was after a step: what it did later is left out."""
        steps = [record for record in self.steps if record.step <= step]
        return replace(self, steps=steps, stages=_stages(steps), status="unknown", live=None)

    @property
    def resumed(self) -> list[StepRecord]:
        """The first steps after training had stood still: a worker group began anew, from a checkpoint."""
        return [step for before, step in pairwise(self.steps) if _pause_s(before, step) > _PAUSE_S]

    @property
    def skipped(self) -> list[StepRecord]:
        """Steps whose loss or gradient was not finite."""
        return [step for step in self.steps if step.was_skipped]


def read_history(run_url: str) -> History:
    """Read everything the report shows of the run at `run_url`.

    Raises InputError when there is no run, or none of its steps is finished.
    """
    recipe = _text(storage.join(run_url, RECIPE))
    by_number = {record.step: record for record in read_metrics(run_url)}
    if not by_number:
        raise InputError(_nothing_to_show(run_url, recipe))
    steps = [by_number[number] for number in sorted(by_number)]
    checkpoints = list_checkpoints(run_url)
    return History(
        url=run_url,
        status=str(read_json(run_url, STATE).get("status", "unknown")),
        live=read_status(run_url),
        steps=steps,
        stages=_stages(steps),
        baselines={name: float(n) for name, n in read_json(run_url, BASELINES).items() if _is_finite_number(n)},
        # Texts from here on: further from the stack's beginning, the deepest nesting could not be written any more.
        environment={name: str(value) for name, value in read_json(run_url, ENVIRONMENT).items()},
        checkpoints=checkpoints,
        shard_checksums=_shard_checksums(checkpoints),
        recipe=recipe,
        config=_config(recipe, run_url),
        sets=read_set_scores(run_url),
    )


def _nothing_to_show(run_url: str, recipe: str) -> str:
    if recipe:
        return f"{run_url}: the run has no steps in {METRICS} yet: try again once it has trained a while"
    return f"{run_url}: not a run: it has neither {RECIPE} nor {METRICS}: give the run.url of a training run"


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _stages(steps: list[StepRecord]) -> list[StageFacts]:
    stages, seen = [], 0
    for index in sorted({step.stage for step in steps}):
        mine = [step for step in steps if step.stage == index]
        train = [step.bits_per_base for step in mine if step.bits_per_base is not None]
        valid = [step.valid_bits_per_base for step in mine if step.valid_bits_per_base is not None]
        contexts = _contexts(mine, seen, valid[-1] if valid else None)
        last = mine[-1]
        stages.append(
            StageFacts(
                index,
                contexts[0].context_length,
                seen,
                last.tokens,
                len(mine),
                train[-1] if train else None,
                valid[-1] if valid else None,
                contexts,
            )
        )
        seen = last.tokens
    return stages


def _contexts(steps: list[StepRecord], seen: int, valid: float | None) -> list[ContextFacts]:
    """Of one stage, which began at `seen` tokens and has `valid` as its last score at the longest context."""
    by_context = next((step.valid_bits_by_context for step in reversed(steps) if step.valid_bits_by_context), {})
    begins = [seen, *(step.tokens for step in steps)]
    found: list[ContextFacts] = []
    for context in sorted({step.context_length for step in steps}, reverse=True):
        mine = [
            (step, step.tokens - begin)
            for step, begin in zip(steps, begins, strict=False)
            if step.context_length == context
        ]
        train = [step.bits_per_base for step, _ in mine if step.bits_per_base is not None]
        score = by_context.get(str(context), None if found else valid)
        times = [step.seconds for step, _ in mine if step.seconds is not None]
        found.append(
            ContextFacts(
                context,
                len(mine),
                sum(tokens for _, tokens in mine),
                train[-1] if train else None,
                score,
                sum(times) if len(times) == len(mine) else None,
            )
        )
    return found


def _pause_s(before: StepRecord, step: StepRecord) -> float:
    """Seconds between two steps in which no worker trained; 0 if not recorded."""
    if before.time is None or step.time is None or step.seconds is None:
        return 0.0
    return seconds_between(before.time, step.time) - step.seconds


def _shard_checksums(checkpoints: list[CheckpointRef]) -> dict[str, str]:
    """From the newest checkpoint; a report is useful without them."""
    try:
        return read_state(checkpoints[-1].url).data if checkpoints else {}
    except InputError:
        return {}


def _config(recipe: str, run_url: str) -> RunConfig | None:
    """Parse the recipe; if an old run's recipe no longer parses, its report shows only the text."""
    try:
        return parse_recipe(recipe, storage.join(run_url, RECIPE))
    except InputError:
        return None


def _text(url: str) -> str:
    try:
        return storage.read(url).decode(errors="replace")
    except FileNotFoundError:
        return ""
