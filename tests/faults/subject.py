"""What a row of docs/faults.md is about, the faults of its columns, and what comes of each, in the table's words."""

import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

from support.files import bytes_of

from hdna.errors import InputError

FLIP, TRUNCATION, ABSENCE = "A flipped bit", "A truncation", "Absence"
FORGERY = "An author who makes every checksum fit"
FAULTS = (FLIP, TRUNCATION, ABSENCE, FORGERY)
"""The table's columns."""

REFUSED, ON_OPENING, ON_READING = "refused", "refused on opening", "refused on reading"
HARMLESS = "harmless"
"""It is read, with the meaning it had."""
TAKEN, SHOWN = "taken", "shown"
"""It is read, with another meaning: as data to train on, or on the page about a run."""
RECORDED = "recorded"
"""As TAKEN; what was made of it keeps its checksum or its text."""
NOT_COMMITTED, PASSED_OVER = "not committed", "passed over"
FETCHED, FETCHED_AGAIN, ENCODED_AGAIN = "fetched", "fetched again", "encoded again"
LEFT_OUT, DONE_WITHOUT = "left out", "done without"


Change = Callable[[], object]
Forgeries = dict[str, dict[str, Change]]
"""By the word for what should come of them, and by what they are."""


@dataclass(frozen=True)
class Fault:
    """Something that happens to a file."""

    what: str
    at: Path
    """Where: the file, or the object that it is a part of."""
    do: Change
    expected: str = ""
    """The word for what must come of it, where that is known of each one."""


class Subject(ABC):
    """An object on disk and the door through which users read it; it is made sound again before each fault."""

    row: ClassVar[str]
    """The first cell of its row."""
    flips: ClassVar[int] = 20
    """How many bits are tried."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        """The object, and whatever a reader writes."""
        self.refusal = REFUSED
        """The word for an InputError at this point of the reading."""
        self.root.mkdir()
        self.make()
        self._sound = bytes_of(self.root)

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator[Self]:
        """One in an empty folder, with whatever it needs around it."""
        yield cls(folder)

    @property
    def home(self) -> Path:
        """The object that the files are parts of."""
        return self.root

    @abstractmethod
    def make(self) -> None:
        """Put the sound object into `root`."""

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that the row names."""

    @abstractmethod
    def read(self) -> str:
        """Read it as users do; return the word for what came of it. Raises InputError when it is refused."""

    @abstractmethod
    def forgeries(self) -> Forgeries:
        """What an author may have done to it, who knows the format."""

    def place(self, path: Path) -> str:
        """What a refusal must name, for a path in `root`."""
        return str(path)

    def prepare(self) -> None:
        """Make everything sound again."""
        kept = {Path(name).parts[0] for name in self._sound}
        for path in self.root.iterdir():
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.name not in kept:
                shutil.rmtree(path)
        for name, data in self._sound.items():
            path = self.root / name
            if not path.is_file() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        assert bytes_of(self.root) == self._sound

    def outcome(self, fault: Fault) -> str:
        """The word for what comes of a fault. A refusal must be one line that says where, and write nothing."""
        self.prepare()
        fault.do()
        before = bytes_of(self.root)
        try:
            return self.read()
        except InputError as error:
            line = str(error)
        assert line.isprintable() and self.place(fault.at) in line, (fault, line)
        assert bytes_of(self.root) == before, (fault, line)
        return NOT_COMMITTED if "not a committed" in line else self.refusal

    def faults(self, column: str) -> list[Fault]:
        """The faults of a column that are tried."""
        self.prepare()
        tried = {FLIP: self._flips, TRUNCATION: self._cuts, ABSENCE: self._losses, FORGERY: self._forged}
        return list(tried[column]())

    def _flips(self) -> Iterator[Fault]:
        """One bit each, of each file in turn, spread over their lengths."""
        rng, paths = random.Random(self.row), self.files()
        for number in range(self.flips):
            path = paths[number % len(paths)]
            data = path.read_bytes()
            bit = int(8 * len(data) * (number + rng.random()) / self.flips)
            yield Fault(f"bit {bit} of {path.name}", path, partial(path.write_bytes, flipped(data, bit)))

    def _cuts(self) -> Iterator[Fault]:
        for path in self.files():
            data = path.read_bytes()
            last_line = data.rfind(b"\n", 0, len(data) - 1) + 1
            for length in sorted({0, 1, len(data) // 2, last_line, len(data) - 1}):
                yield Fault(f"{length} bytes of {path.name}", path, partial(path.write_bytes, data[:length]))

    def _losses(self) -> Iterator[Fault]:
        for path in self.files():
            yield Fault(f"no {path.name}", self.home, path.unlink)

    def _forged(self) -> Iterator[Fault]:
        for word, changes in self.forgeries().items():
            for what, change in changes.items():
                yield Fault(what, self.home, change, word)


def flipped(data: bytes, bit: int) -> bytes:
    """`data` with one bit flipped."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
