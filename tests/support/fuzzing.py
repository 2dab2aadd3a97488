"""Fuzzing of what hdna reads: change one thing, read it as users do, and see that it was refused or made no difference.

A `Door` is an object on disk with its reader. The reader returns what the object means; an InputError is a refusal; any
other exception, another meaning, a message that is not one plain line, or a reading of more than ten seconds is a
finding.
"""

import json
import os
import random
import signal
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hdna.errors import InputError

MAX_SECONDS = 10.0
MAX_LINE = 1000
"""Characters of an error message."""
REFUSED, SAME, SOUND = "refused", "same meaning", "other, but sound"
OTHER, BAD_LINE, CRASH, SLOW = "ANOTHER MEANING", "BAD LINE", "TRACEBACK", "SLOW"
FINDINGS = (OTHER, BAD_LINE, CRASH, SLOW)
TRIALS = int(os.environ.get("HDNA_FUZZ_TRIALS", "50"))
"""Changes tried at each door; `make fuzz` tries a thousand."""
SEED = int(os.environ.get("HDNA_FUZZ_SEED", "2222"))

JSON = Any
FieldPath = tuple[str | int, ...]
"""Keys and indices from the root of a JSON value."""
SECRET_URL = f"s3://user:{'secret' * 8}@bucket/key"
_SECRET = "://user:secret"
"""The beginning is enough: a message may end before the host."""
Change = Callable[[random.Random], str]
"""Changes a door's files and says what it did."""
Outcome = tuple[str, str]
"""What came of a change, and the reason in words."""
ODD: list[JSON] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 0.5, 1e308, -0.0,
    "", "x", "0", "../x", "/etc/passwd", "a" * 5000, "\u0000", "\ud7ff\ue000",
    SECRET_URL, [], [[]], {}, {"a": 1}, [0] * 100,
]  # fmt: skip


class _TookTooLong(BaseException):
    """No Exception, so that the code under test does not handle it."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End a block that works for longer, by an alarm: some never end.

    The processor's time counts, so that a busy machine makes no finding; a block that only waits has twelve times that.
    """

    def stop(*signal_and_frame: object) -> None:
        raise _TookTooLong

    before = [signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 12 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)


def outcome_of(read: Callable[[], object], judge: Callable[[object], Outcome], text: bytes = b"") -> Outcome:
    """What came of reading `text`; `judge` has the last word on a meaning."""
    try:
        with at_most(MAX_SECONDS):
            meaning = read()
    except InputError as error:
        fault = fault_of_line(str(error), text)
        return (BAD_LINE, f"{fault}: {str(error)[:300]!r}") if fault else (REFUSED, str(error))
    except _TookTooLong:
        return SLOW, f"more than {MAX_SECONDS:g} s"
    except Exception as error:
        return CRASH, f"{type(error).__name__}: {error}"
    return judge(meaning)


def fault_of_line(line: str, text: bytes = b"") -> str | None:
    """Why a message about `text` is none to show on a terminal or to keep in a log."""
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in line):
        return "a line end, a control character, or half a character"
    if len(line) > MAX_LINE:
        return f"{len(line):,} characters"
    is_broken = _SECRET.encode() in text.replace(SECRET_URL.encode(), b"")  # nobody can tell that it was a password
    return "a password" if _SECRET in line and not is_broken else None


@dataclass
class Door:
    """An object that hdna reads: its files, and what a reader makes of them."""

    name: str
    root: Path
    read: Callable[[], object]
    is_sound: Callable[[object], bool] = lambda meaning: False
    """Whether a change of the content, with every checksum right, may have made this of it."""
    meaning: object = field(init=False)

    def __post_init__(self) -> None:
        self.meaning = self.read()

    def outcome(self) -> Outcome:
        """What a reader makes of it now."""
        return outcome_of(self.read, self._judge)

    def _judge(self, meaning: object) -> Outcome:
        if meaning == self.meaning:
            return SAME, ""
        return (SOUND if self.is_sound(meaning) else OTHER), ""


@dataclass
class Tally:
    """Outcomes at one door, and the changes that should not have got through."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, what: str, outcome: Outcome) -> None:
        """Count an outcome; `what` was changed."""
        result, reason = outcome
        self.counts[result] += 1
        if result in FINDINGS:
            self.findings.append(f"{self.name}: {what}: {result} {reason}")

    def row(self) -> str:
        """A line of the table."""
        return f"{self.name:46}{self.counts.total():8,}" + "".join(f"{self.counts[kind]:17,}" for kind in _COLUMNS)


_COLUMNS = (REFUSED, SAME, SOUND, *FINDINGS)
HEADER = f"{'door':46}{'changes':>8}" + "".join(f"{kind:>17}" for kind in _COLUMNS)


def try_changes(name: str, door: Door, change: Change, trials: int) -> Tally:
    """Let `change` change the door's files, read, and put them back; `trials` times."""
    rng, tally = random.Random(f"{SEED} {name}"), Tally(name)
    kept = {path: path.read_bytes() for path in door.root.rglob("*") if path.is_file()}
    for _ in range(trials):
        tally.add(change(rng), door.outcome())
        for path, data in kept.items():
            if not path.is_file() or path.read_bytes() != data:
                path.write_bytes(data)
    return tally


def bit_flip(files: Sequence[Path]) -> Change:
    """Flip one bit of one file."""

    def change(rng: random.Random) -> str:
        path = rng.choice(files)
        data = bytearray(path.read_bytes())
        bit = rng.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        return f"{path.name} bit {bit}"

    return change


def field_change(documents: Sequence[Path], write: Callable[[Path, JSON], None]) -> Change:
    """Change one field of one JSON document; `write` makes every checksum right again."""

    def change(rng: random.Random) -> str:
        path = rng.choice(documents)
        document = json.loads(path.read_bytes())
        what = mutate(document, rng)
        write(path, document)
        return f"{path.name} {what}"

    return change


def mutate(document: JSON, rng: random.Random, odd: Sequence[JSON] = ODD) -> str:
    """Change one field of a JSON document in place; says what was done."""
    path = rng.choice([path for path in paths(document) if path])
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    key, value = path[-1], holder[path[-1]]
    kind = rng.choice(("odd", "odd", "near", "near", "delete", "extra", "repeat", "rename"))
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
    elif kind == "rename" and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
        return f"{path} renamed"
    else:
        holder[key] = rng.choice(odd)
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
