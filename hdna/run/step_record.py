"""One line of metrics.jsonl: the measurements of one optimizer step."""

import json
import re
import sys
from dataclasses import dataclass, fields
from typing import Any

from hdna.errors import InputError

_FORMER_NAMES = {"waited_fraction": "data_wait_fraction"}
"""Columns that earlier versions wrote under other names."""
_NOT_FINITE = re.compile(rb"(?<=: )-?(?:NaN|Infinity)")
"""No JSON, but what earlier versions wrote of an evaluation that was not finite."""
_POSITION = ("step", "tokens", "stage", "context_length")
_MAX_COUNT = (1 << 63) - 1
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_OPTIONAL = ("valid_loss", "valid_bits_per_base", "valid_bases", "valid_bits_by_context", "valid_sets")
"""Columns that most lines do not have."""
SET_COLUMNS = ("bits_per_base", "bases", "unique", "repeats")
"""Of each set in `valid_sets`."""
_CONTEXT = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class StepRecord:
    """A field per column. A measurement is None if not finite, or missing from the line."""

    step: int
    """Optimizer steps done, this one included."""
    tokens: int
    """Tokens seen."""
    stage: int
    """Stage of the curriculum, from 0."""
    context_length: int
    """Tokens of one sample."""
    time: str | None = None
    """UTC at the end of the step."""
    seconds: float | None = None
    """Wall time since the end of the step before: with its wait for data, its evaluation, and what a save held up."""
    workers: int | None = None
    """Processes that trained."""
    sequence_parallel: int | None = None
    """Ranks that shared each sample."""
    loss: float | None = None
    """Weighted mean nats per predicted base of the global batch; None also if nothing was predicted (all N)."""
    bits_per_base: float | None = None
    """`loss` / ln 2."""
    learning_rate: float | None = None
    grad_norm: float | None = None
    """Global gradient norm before clipping."""
    predicted_bases: int | None = None
    """Targets of the global batch with a weight above 0."""
    tokens_per_second: float | None = None
    """Over all workers, including the wait for data."""
    tflops_per_worker: float | None = None
    """Model TFLOP/s of one worker, including the wait for data: forward and backward pass, without recomputation."""
    mfu: float | None = None
    """Its share of the device's dense rate; None if the device's data sheet is not known."""
    data_wait_fraction: float | None = None
    """Share of the step's time spent waiting for data."""
    memory_gib: float | None = None
    """Peak of rank 0 in GiB: GPU memory, or the process's resident set on a CPU."""
    skipped: int | None = None
    """Steps skipped so far because their loss or gradient was not finite."""
    bucket_read_bytes: int | None = None
    """By all workers since the step before, from buckets."""
    bucket_written_bytes: int | None = None
    """Likewise to buckets."""
    valid_loss: float | None = None
    """Mean nats per base of the valid split at the stage's longest context; like the rest, only on steps that
    evaluate."""
    valid_bits_per_base: float | None = None
    """`valid_loss` / ln 2."""
    valid_bases: int | None = None
    """Bases scored."""
    valid_bits_by_context: dict[str, float] | None = None
    """Bits per base at each context of a stage that has several."""
    valid_sets: dict[str, dict[str, float | None]] | None = None
    """By assembly: "bits_per_base", "bases", and bits per base of "unique" sequence and "repeats" (soft-masked), None
    without any."""

    @property
    def was_skipped(self) -> bool:
        """Whether this step changed no weight because its loss or gradient was not finite."""
        return self.grad_norm is None or (self.bits_per_base is None and self.predicted_bases != 0)

    @property
    def worker_seconds(self) -> float:
        """Of all workers together; 0 if not recorded, as by earlier versions."""
        return (self.seconds or 0.0) * (self.workers or 0)

    def to_line(self) -> bytes:
        """The line for metrics.jsonl; columns of the valid split only if there was an evaluation."""
        values = {field.name: _value(getattr(self, field.name), str(field.type)) for field in fields(self)}
        columns = {name: value for name, value in values.items() if value is not None or name not in _OPTIONAL}
        return json.dumps(columns).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "StepRecord | None":
        """The record of a line; None if a killed process left it half-written, or it names no step."""
        from hdna.storage.untrusted_json import parse_json  # with obstore: `hdna --help` needs neither

        try:
            columns = parse_json(_NOT_FINITE.sub(b"null", line), dict[str, Any], "metrics", "the line does not count")
        except InputError:
            return None
        if not all(type(columns.get(name)) is int and 0 <= columns[name] <= _MAX_COUNT for name in _POSITION):
            return None
        columns = {_FORMER_NAMES.get(name, name): value for name, value in columns.items()}
        return cls(**{field.name: _value(columns.get(field.name), str(field.type)) for field in fields(cls)})


def _value(value: Any, kind: str) -> Any:  # noqa: ANN401 - any JSON value, as the field's type
    if kind.startswith("str"):
        return value if isinstance(value, str) and _UTC.fullmatch(value) else None
    if kind.startswith("dict[str, dict"):
        return _by_set(value)
    if kind.startswith("dict"):
        return _by_context(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    if kind.startswith("float"):
        return float(value)
    return int(value) if value == int(value) else None


def _by_set(value: object) -> dict[str, dict[str, float | None]] | None:
    if not isinstance(value, dict) or not all(isinstance(own, dict) for own in value.values()):
        return None
    return {
        str(name): {key: _value(own.get(key), "int" if key == "bases" else "float") for key in SET_COLUMNS}
        for name, own in value.items()
    }


def _by_context(value: object) -> dict[str, float] | None:
    if not isinstance(value, dict) or not all(_CONTEXT.fullmatch(str(key)) for key in value):
        return None
    numbers = {str(key): _value(number, "float") for key, number in value.items()}
    return numbers if numbers and None not in numbers.values() else None
