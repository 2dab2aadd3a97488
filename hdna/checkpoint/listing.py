"""Which checkpoints a run has, and which of them are intact.

Checkpoints are ordered by step, never by modification time. A directory without a manifest is not a checkpoint, and its
path is never reused: a run that returns to the same step writes `step-000123-r1`, so that files of two attempts cannot
mix.
"""

import re
from dataclasses import dataclass
from itertools import count

from hdna import storage
from hdna.errors import InputError
from hdna.storage.manifest import Format, Manifest, parse_manifest, read_manifest

MANIFEST = "MANIFEST.json"
FORMAT = Format("hdna-checkpoint", 2, "checkpoint", MANIFEST, "use an earlier one, or copy it again")
FOLDER = "checkpoints"
"""Below the run's URL."""
_NAME = re.compile(r"step-(\d{6,})(?:-r(\d+))?")
_PLACE = re.compile(rf"(?:(?P<run>.*)/)?{FOLDER}/{_NAME.pattern}", re.DOTALL)

Saves = dict[tuple[int, int], dict[str, int]]
"""Attempts to save a checkpoint, by step and attempt: their files, with sizes."""


@dataclass(frozen=True, order=True)
class CheckpointRef:
    """One committed checkpoint of a run."""

    step: int
    attempt: int
    """Number of the attempt to save this step, from 0."""
    url: str
    bytes: int
    """Total size of its files."""

    @property
    def name(self) -> str:
        """The last part of its URL: `step-000123`."""
        return checkpoint_name(self.step, self.attempt)


def checkpoint_name(step: int, attempt: int) -> str:
    """`step-000123`, or `step-000123-r1` for a second attempt."""
    return f"step-{step:06d}" + (f"-r{attempt}" if attempt else "")


def checkpoint_url(run_url: str, step: int, attempt: int) -> str:
    """URL of the checkpoint of a step."""
    return storage.join(run_url, FOLDER, checkpoint_name(step, attempt))


def run_of(checkpoint_url: str) -> str | None:
    """URL of the run that a checkpoint lies below; None if it was copied elsewhere."""
    match = _PLACE.fullmatch(checkpoint_url.rstrip("/"))
    return (match["run"] or ".") if match else None


def list_checkpoints(run_url: str) -> list[CheckpointRef]:
    """A run's committed checkpoints in order of step; checksums are not verified."""
    return committed(run_url, attempted_saves(run_url))


def attempted_saves(run_url: str) -> Saves:
    """Every attempt of a run to save a checkpoint, committed or not, from one listing."""
    found: Saves = {}
    for path, size in storage.list_objects(storage.join(run_url, FOLDER)).items():
        name, _, file = path.partition("/")
        if match := _NAME.fullmatch(name):
            found.setdefault((int(match[1]), int(match[2] or 0)), {})[file] = size
    return found


def committed(run_url: str, saves: Saves) -> list[CheckpointRef]:
    """The checkpoints among a run's `saves`, in order of step."""
    return sorted(
        CheckpointRef(step, attempt, checkpoint_url(run_url, step, attempt), sum(sizes.values()))
        for (step, attempt), sizes in saves.items()
        if MANIFEST in sizes
    )


def checkpoint_manifest(checkpoint_url: str) -> Manifest:
    """The manifest of a committed checkpoint. Raises InputError when there is none, or it is damaged."""
    try:
        return read_manifest(checkpoint_url, FORMAT)
    except FileNotFoundError:
        raise InputError(f"{checkpoint_url}: not a committed checkpoint: it has no {MANIFEST}") from None


def checkpoint_damage(checkpoint_url: str) -> str | None:
    """What is wrong with a checkpoint, in words, or None when its manifest is valid and every checksum matches.

    Raises InputError when it cannot be read: a bucket that does not answer is no reason to take an older one.
    """
    found = examined(checkpoint_url)
    return found if isinstance(found, str) else None


def examined(checkpoint_url: str) -> Manifest | str:
    """The manifest of a checkpoint whose every checksum matches, or what is wrong; raises like `checkpoint_damage`."""
    try:
        data = storage.read(storage.join(checkpoint_url, MANIFEST))
    except FileNotFoundError:
        return f"{checkpoint_url}: not a committed checkpoint: it has no {MANIFEST}"
    try:
        manifest = parse_manifest(data, checkpoint_url, FORMAT)
    except InputError as error:
        return str(error)
    return manifest.find_damage() or manifest


def newest_intact(run_url: str) -> tuple[CheckpointRef | None, list[str]]:
    """The newest checkpoint whose checksums match, and why each newer one was skipped."""
    passed_over: list[str] = []
    for ref in reversed(list_checkpoints(run_url)):
        damage = checkpoint_damage(ref.url)
        if damage is None:
            return ref, passed_over
        passed_over.append(damage)
    return None, passed_over


def next_attempt(run_url: str, step: int) -> int:
    """The first attempt number never used for this step.

    Lists the attempts of this step alone: one empty answer in nearly every save, however many checkpoints there are.
    """
    return next(attempt for attempt in count() if not storage.list_objects(checkpoint_url(run_url, step, attempt)))
