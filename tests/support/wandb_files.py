"""What an offline folder of W&B holds, read without wandb's own code but for its message types."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """A run as `wandb sync` would upload it."""

    id: str = ""
    name: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    """By step; W&B's own columns, which begin with an underscore, among them."""
    exit_code: int | None = None


def offline_runs(folder: Path) -> list[OfflineRun]:
    """The runs in the folder that wandb was given, the oldest first."""
    return [_read(path.read_bytes()) for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def _read(data: bytes) -> OfflineRun:
    found = OfflineRun()
    for payload in _payloads(data):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found.id, found.name, found.project = run.run_id, run.display_name, run.project
            found.config |= {item.key: json.loads(item.value_json) for item in run.config.update}
        elif kind == "history":
            row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            step = int(row["_step"])
            assert step not in found.history
            found.history[step] = row
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def _payloads(data: bytes) -> list[bytes]:
    """LevelDB's log format: blocks of 32 KiB, in them pieces of records with a checksum, a length and a kind."""
    payloads, position = [], _FILE_HEADER
    while position + _HEADER <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind, piece = data[position + 6], data[position + _HEADER : position + _HEADER + length]
        if kind in (_FULL, _FIRST):
            payloads.append(piece)
        elif kind in (_MIDDLE, _LAST):
            payloads[-1] += piece
        position += _HEADER + length
    return payloads
