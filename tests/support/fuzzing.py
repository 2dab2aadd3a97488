"""Fuzzing of what hdna reads: change one thing, read it as users do, and see that it was refused or made no difference.

A `Door` is an object on disk with its reader. The reader returns what the object means; an InputError is a refusal; any
other exception, another meaning, or a reading of more than ten seconds is a finding.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hdna.errors import InputError

MAX_SECONDS = 10.0
REFUSED, SAME, OTHER, CRASH, SLOW = "refused", "same meaning", "ANOTHER MEANING", "TRACEBACK", "SLOW"
TRIALS = int(os.environ.get("HDNA_FUZZ_TRIALS", "150"))
"""Changes tried at each door; `make fuzz` tries a thousand."""
SEED = int(os.environ.get("HDNA_FUZZ_SEED", "2222"))

JSON = Any
FieldPath = tuple[str | int, ...]
"""Keys and indices from the root of a JSON value."""
ODD: list[JSON] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 0.5, 1e308, -0.0,
    "", "x", "0", "../x", "/etc/passwd", "a" * 5000, "\u0000", "\ud7ff\ue000",
    "s3://u:p@b/k", [], [[]], {}, {"a": 1}, [0] * 100,
]  # fmt: skip


@dataclass
class Door:
    """An object that hdna reads: its files, and what a reader makes of them."""

    name: str
    root: Path
    read: Callable[[], object]
    meaning: object = field(init=False)

    def __post_init__(self) -> None:
        self.meaning = self.read()

    def outcome(self) -> tuple[str, str]:
        """What a reader makes of it now, and the reason in words."""
        began = time.monotonic()
        try:
            result = SAME if self.read() == self.meaning else OTHER
            reason = ""
        except InputError as error:
            result, reason = REFUSED, str(error)
        except Exception as error:
            result, reason = CRASH, f"{type(error).__name__}: {error}"
        return (SLOW, reason) if time.monotonic() - began > MAX_SECONDS else (result, reason)


@dataclass
class Tally:
    """Outcomes at one door, and the changes that should not have got through."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, what: str, outcome: tuple[str, str]) -> None:
        """Count an outcome; `what` was changed."""
        result, reason = outcome
        self.counts[result] += 1
        if result not in (REFUSED, SAME) or (result == REFUSED and "\n" in reason):
            self.findings.append(f"{self.name}: {what}: {result} {reason}")

    def row(self) -> str:
        """A line of the table."""
        cells = [self.counts[kind] for kind in (REFUSED, SAME, OTHER, CRASH, SLOW)]
        return f"{self.name:34}{sum(cells):8,}" + "".join(f"{cell:17,}" for cell in cells)


HEADER = f"{'door':34}{'changes':>8}" + "".join(f"{kind:>17}" for kind in (REFUSED, SAME, OTHER, CRASH, SLOW))


def flip_bits(door: Door, files: Callable[[Path], bool], trials: int) -> Tally:
    """Flip one bit of one of the door's files that `files` selects, read, and put it back; `trials` times."""
    rng, tally = random.Random(f"{SEED} {door.name}"), Tally(f"{door.name}: one bit")
    paths = sorted(path for path in door.root.rglob("*") if path.is_file() and files(path))
    for _ in range(trials):
        path = rng.choice(paths)
        data = path.read_bytes()
        if not data:
            continue
        bit = rng.randrange(8 * len(data))
        path.write_bytes(flipped(data, bit))
        tally.add(f"{path.relative_to(door.root)} bit {bit}", door.outcome())
        path.write_bytes(data)
    return tally


def flipped(data: bytes, bit: int) -> bytes:
    """`data` with one bit flipped."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def change_fields(door: Door, documents: list[Path], write: Callable[[Path, JSON], None], trials: int) -> Tally:
    """Change one field of one JSON document, with every checksum made right again by `write`, and read."""
    rng, tally = random.Random(f"{SEED} {door.name}"), Tally(f"{door.name}: one field, resealed")
    for _ in range(trials):
        path = rng.choice(documents)
        kept = {other: other.read_bytes() for other in door.root.rglob("*") if other.is_file()}
        document = json.loads(path.read_bytes())
        what = mutate(document, rng)
        write(path, document)
        tally.add(f"{path.relative_to(door.root)} {what}", door.outcome())
        for other, data in kept.items():
            if not other.is_file() or other.read_bytes() != data:
                other.write_bytes(data)
    return tally


def mutate(document: JSON, rng: random.Random) -> str:
    """Change one field of a JSON document in place; says what was done."""
    path = rng.choice([path for path in paths(document) if path])
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    key, value = path[-1], holder[path[-1]]
    kind = rng.choice(("odd", "odd", "near", "near", "delete", "extra", "repeat"))
    if kind == "near" and isinstance(value, int) and not isinstance(value, bool):
        holder[key] = rng.choice([value + 1, value - 1, -value, value * 2, value + 64, value + 512])
    elif kind == "near" and isinstance(value, str) and value:
        holder[key] = rng.choice([value + "x", value[:-1], value.swapcase(), value[::-1]])
    elif kind == "delete":
        del holder[key]
        return f"{path} deleted"
    elif kind == "extra" and isinstance(holder, dict):
        holder["unknown"] = rng.choice(ODD)
        return f"{path[:-1]} got an unknown key"
    elif kind == "repeat" and isinstance(holder, list):
        holder.append(value)
    else:
        holder[key] = rng.choice(ODD)
    return f"{path}: {str(value)[:40]!r} became {str(holder[key])[:40]!r}"


def paths(value: JSON, here: FieldPath = ()) -> Iterator[FieldPath]:
    """Every field of a JSON value."""
    yield here
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*here, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from paths(value[index], (*here, index))
