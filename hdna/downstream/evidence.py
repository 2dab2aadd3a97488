"""What the commands of `hdna eval` leave: a JSON file each, about one checkpoint, with what it took to make it.

    {"format": "hdna-evidence", "version": 1, "evidence": "context",
     "subject": {"url", "step", "tokens", "checksum"},
     "cost": {"seconds", "bases", "peak_memory_bytes", "device", "dtype", "date", "hdna"},
     ... whatever the kind has to say}

`hdna eval report` gathers them from a folder; a file about other weights is told by the checksum.
"""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from hdna import __version__, storage
from hdna.devices import describe_device
from hdna.downstream.subject import Subject
from hdna.errors import InputError
from hdna.run.utc import utc_now
from hdna.storage.untrusted_json import Count, Sha256, convert_json, parse_json

FORMAT, VERSION = "hdna-evidence", 1
_HEAD = ("format", "version", "evidence", "subject", "cost")
_ADVICE = "make it again with 'hdna eval', or remove it"


@dataclass
class Cost:
    """What a piece of work took, and where."""

    seconds: float = 0.0
    bases: Count = 0
    """That it was done on: what a price per megabase is reckoned by."""
    peak_memory_bytes: Count = 0
    """Of this process: the GPU's if there is one, else its resident size."""
    device: str = ""
    dtype: str = "fp32"
    date: str = ""
    hdna: str = __version__


@dataclass(frozen=True)
class About:
    """The weights that evidence is about."""

    url: str
    step: Count
    tokens: Count
    checksum: Sha256


@dataclass(frozen=True)
class Evidence:
    """One file."""

    kind: str
    subject: About
    cost: Cost
    body: dict[str, Any] = field(default_factory=dict)
    """The entries of its own."""
    url: str = ""


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Time a block; the caller sets `bases` of the yielded cost, which is complete when the block has ended."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    cost, began = Cost(device=describe_device(device), date=utc_now()), time.monotonic()
    yield cost
    cost.seconds = round(time.monotonic() - began, 3)
    if device.type == "cuda":
        cost.peak_memory_bytes = torch.cuda.max_memory_allocated(device)
    else:
        cost.peak_memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_evidence(folder: str, kind: str, subject: Subject, cost: Cost, body: dict[str, Any]) -> str:
    """Write `kind`.json to a folder or bucket, replacing an earlier one; return its URL."""
    about = About(subject.url, subject.step, subject.tokens, subject.checksum)
    head = {"format": FORMAT, "version": VERSION, "evidence": kind, "subject": asdict(about), "cost": asdict(cost)}
    assert not head.keys() & body.keys(), "an entry of the body would replace one of the head"
    url = storage.join(folder, f"{kind}.json")
    storage.write(url, json.dumps(head | body, indent=1, allow_nan=False).encode() + b"\n")
    return url


def find_evidence(folder: str) -> list[Evidence]:
    """All evidence in a folder or bucket and below, by name; other JSON files are left out.

    Raises InputError when one of this format is damaged.
    """
    found = []
    for name in sorted(storage.list_objects(folder)):
        if name.endswith(".json"):
            url = storage.join(folder, name)
            values = parse_json(storage.read(url), Any, url, _ADVICE)
            if isinstance(values, dict) and values.get("format") == FORMAT:
                found.append(_evidence(values, url))
    return found


def _evidence(values: dict[str, Any], url: str) -> Evidence:
    if values.get("version") != VERSION:
        raise InputError(f"{url}: of version {values.get('version')!r}, this hdna reads {VERSION}: {_ADVICE}")
    head = {"kind": values.get("evidence"), "subject": values.get("subject"), "cost": values.get("cost")}
    body = {key: value for key, value in values.items() if key not in _HEAD}
    return convert_json(head | {"body": body, "url": url}, Evidence, url, _ADVICE)
