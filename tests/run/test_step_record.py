"""A line of metrics.jsonl: JSON that any program reads, whatever the numbers were."""

import json
import math

from hdna.run.step_record import StepRecord


def test_numbers_that_are_not_finite_are_null_and_never_nan() -> None:
    record = StepRecord(1, 512, 0, 64, loss=math.nan, grad_norm=math.inf, valid_loss=math.nan, valid_bases=10)
    line = record.to_line()

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    columns = json.loads(line, parse_constant=refuse)
    assert columns["loss"] is None and columns["grad_norm"] is None
    assert StepRecord.from_line(line) == StepRecord(1, 512, 0, 64, valid_bases=10)


def test_lines_of_earlier_versions_with_nan_still_count() -> None:
    columns = b'"step": 5, "tokens": 2560, "stage": 0, "context_length": 64, "skipped": 4'
    line = b"{" + columns + b', "valid_loss": NaN, "loss": -Infinity}'
    assert StepRecord.from_line(line) == StepRecord(5, 2560, 0, 64, skipped=4)


def test_lines_that_are_no_records_do_not_count() -> None:
    for line in (b"", b"{", b"[]", b"[" * 100_000, b'{"step": 1}', b'{"step": true, "tokens": 1, "stage": 0}', b"\xff"):
        assert StepRecord.from_line(line) is None
    huge = b'{"step": 1' + b"0" * 400 + b', "tokens": 1, "stage": 0, "context_length": 1}'
    assert StepRecord.from_line(huge) is None
