"""metrics.jsonl as CSV, which a spreadsheet opens."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import fields

from hdna.run.step_record import StepRecord

FILE_NAME = "metrics.csv"


def metrics_csv(steps: Sequence[StepRecord]) -> bytes:
    """A line per step under the columns that any step has; what a column maps by name stays JSON."""
    rows = [{field.name: getattr(step, field.name) for field in fields(step)} for step in steps]
    columns = [field.name for field in fields(StepRecord) if any(row[field.name] is not None for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict) else value
