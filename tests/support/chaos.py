"""A run that is disturbed and brought to its end all the same, and the table of what that took."""

import os
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch

from hdna.checkpoint import LoadedCheckpoint, checkpoint_damage, list_checkpoints, load_checkpoint
from hdna.run.files import read_metrics

TIMES = int(os.environ.get("HDNA_CHAOS_TIMES", "1"))
"""How often each fault is injected: often by `make chaos`, once in the tests."""
TIMEOUT_S = 900


@dataclass
class Row:
    """What came of one kind of fault."""

    injected: int = 0
    survived: int = 0
    redone: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """From giving the command again to its first step, or from the fault where the command itself goes on; nothing for
    runs that were not interrupted."""


class DisturbedRun(ABC):
    """A run to disturb. A fault starts it, calls `disturbed` right before it strikes, and brings the run to its end."""

    steps: int

    def __init__(self, recipe: Path, url: str) -> None:
        self.url = url
        self.recipe = recipe
        self._committed: list[str] = []
        self.redone: list[int] = []
        self.seconds: list[float] = []
        """Both of each resumption."""

    def disturbed(self) -> None:
        """The fault strikes now: what is committed must be there ever after."""
        self._committed = [ref.url for ref in list_checkpoints(self.url)]

    @abstractmethod
    def kill(self) -> None:
        """End all that is left of its processes."""

    def check(self, expected: LoadedCheckpoint, damaged: int = 0, tolerance: float = 0.0) -> None:
        """Every committed checkpoint is still there and whole, but for those damaged on purpose; every step was done
        once; and all bits agree, or the weights within `tolerance` of each one's largest, where the layout is another.
        """
        whole = [url for url in self._committed if checkpoint_damage(url) is None]
        assert len(whole) == len(self._committed) - damaged
        assert [record.step for record in read_metrics(self.url)] == list(range(1, self.steps + 1))
        found = load_checkpoint(list_checkpoints(self.url)[-1].url)
        assert found.state.step == self.steps
        if not tolerance:
            for kind, tensors in expected.tensors.items():
                assert all(torch.equal(found.tensors[kind][name], value) for name, value in tensors.items()), kind
        for name, value in expected.tensors["parameters"].items():
            error = float((found.tensors["parameters"][name] - value).abs().max() / value.abs().max())
            assert error <= tolerance, f"{name}: {error:.1e}"


Run = TypeVar("Run", bound=DisturbedRun)


def inject(
    name: str,
    rows: dict[str, Row],
    fault: Callable[[Run, random.Random], None],
    run: Run,
    rng: random.Random,
    undisturbed: LoadedCheckpoint,
    damaged: int = 0,
    tolerance: float = 0.0,
) -> None:
    """Let the fault happen, and enter what came of it; `damaged`: checkpoints that it damages on purpose."""
    row = rows.setdefault(name, Row())
    row.injected += 1
    try:
        fault(run, rng)
    finally:
        run.kill()
    run.check(undisturbed, damaged, tolerance)
    row.survived += 1
    row.redone += run.redone
    row.seconds += run.seconds
    print(f"{row.injected} of {TIMES}: {name}: {_range(run.seconds, '.1f')} s", flush=True)


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert holds()


def table(rows: dict[str, Row]) -> str:
    """Fault × injected × survived × steps redone × seconds to training again."""
    head = f"{'fault':58}{'injected':>9}{'survived':>9}{'steps redone':>14}{'seconds to training again':>27}"
    lines = [
        f"{name:58}{row.injected:9}{row.survived:9}{_range(row.redone, '.0f'):>14}{_range(row.seconds, '.1f'):>27}"
        for name, row in rows.items()
    ]
    return "\n".join(["", head, *lines, "(median, largest)"])


def _range(values: list[int] | list[float], form: str) -> str:
    return f"{median(values):{form}}, {max(values):{form}}" if values else "-"
