"""Which checkpoints a run has, which of them are intact, and which may be removed.

Checkpoints are ordered by step, never by modification time. A directory without a manifest is not a checkpoint, and its
path is never reused: a run that returns to the same step writes `step-000123-r1`, so that files of two attempts cannot
mix.
"""

import re
from dataclasses import dataclass

from hdna import storage
from hdna.storage.manifest import find_damage, read_manifest

FORMAT = "hdna-checkpoint"
VERSION = 1
MANIFEST = "MANIFEST.json"
FOLDER = "checkpoints"
"""Below the run's URL."""
_NAME = re.compile(r"step-(\d{6,})(?:-r(\d+))?")


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


def list_checkpoints(run_url: str) -> list[CheckpointRef]:
    """A run's committed checkpoints in order of step; checksums are not verified."""
    sizes: dict[str, dict[str, int]] = {}
    for path, size in storage.list_objects(storage.join(run_url, FOLDER)).items():
        name, _, file = path.partition("/")
        sizes.setdefault(name, {})[file] = size
    committed = ((match, files) for name, files in sizes.items() if (match := _NAME.fullmatch(name)))
    keys = ((int(match[1]), int(match[2] or 0), files) for match, files in committed if MANIFEST in files)
    refs = (CheckpointRef(s, a, checkpoint_url(run_url, s, a), sum(files.values())) for s, a, files in keys)
    return sorted(refs)


def checkpoint_damage(checkpoint_url: str) -> str | None:
    """What is wrong with a checkpoint, in words, or None when its manifest is valid and every checksum matches."""
    try:
        return find_damage(checkpoint_url, read_manifest(checkpoint_url, MANIFEST, FORMAT, VERSION))
    except FileNotFoundError:
        return f"{checkpoint_url} has no {MANIFEST}"


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
    """The first attempt number never used for this step."""
    used = {path.partition("/")[0] for path in storage.list_objects(storage.join(run_url, FOLDER))}
    attempt = 0
    while checkpoint_name(step, attempt) in used:
        attempt += 1
    return attempt


def prune(run_url: str, keep_last: int, keep_every: int = 0) -> list[CheckpointRef]:
    """Remove all but the newest `keep_last` checkpoints and multiples of `keep_every` steps; return the removed ones.

    A checkpoint's manifest goes first, so that a half-removed one is not a checkpoint.
    """
    refs = list_checkpoints(run_url)
    kept = set(refs[-keep_last:]) | {ref for ref in refs if keep_every and ref.step % keep_every == 0}
    removed = [ref for ref in refs if ref not in kept]
    for ref in removed:
        storage.delete(ref.url, [MANIFEST])
        storage.delete(ref.url, list(storage.list_objects(ref.url)))
    return removed
