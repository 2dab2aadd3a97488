"""Which checkpoints a run has, which of them are whole, and which may go.

Checkpoints are ordered by step, never by modification time. A directory without a manifest is no checkpoint, and its
path is never used again: a run that comes back to the same step writes to `step-000123-r1`, so that files of two
attempts cannot mix.
"""

import re
from dataclasses import dataclass

from hdna import storage
from hdna.storage.manifest import find_damage, read_manifest

FORMAT = "hdna-checkpoint"
VERSION = 1
MANIFEST = "MANIFEST.json"
_NAME = re.compile(r"step-(\d{6,})(?:-r(\d+))?")


@dataclass(frozen=True, order=True)
class CheckpointRef:
    """One committed checkpoint of a run."""

    step: int
    retry: int
    url: str


def list_checkpoints(run_url: str) -> list[CheckpointRef]:
    """Committed checkpoints of a run by rising step; whether their checksums hold is another question."""
    root = storage.join(run_url, "checkpoints")
    found = []
    for path in storage.list_objects(root):
        folder, _, name = path.partition("/")
        match = _NAME.fullmatch(folder)
        if match and name == MANIFEST:
            found.append(CheckpointRef(int(match[1]), int(match[2] or 0), storage.join(root, folder)))
    return sorted(found)


def checkpoint_damage(checkpoint_url: str) -> str | None:
    """What is wrong with a checkpoint, in words, or None when its manifest and every checksum hold."""
    try:
        return find_damage(checkpoint_url, read_manifest(checkpoint_url, MANIFEST, FORMAT, VERSION))
    except FileNotFoundError:
        return f"{checkpoint_url} has no {MANIFEST}"


def newest_whole(run_url: str) -> tuple[CheckpointRef | None, list[str]]:
    """The newest checkpoint whose checksums hold, and why each newer one was passed over."""
    passed_over: list[str] = []
    for ref in reversed(list_checkpoints(run_url)):
        problem = checkpoint_damage(ref.url)
        if problem is None:
            return ref, passed_over
        passed_over.append(problem)
    return None, passed_over


def free_place(run_url: str, step: int) -> int:
    """The first retry number under which nothing has ever been written for this step."""
    root = storage.join(run_url, "checkpoints")
    used = {path.partition("/")[0] for path in storage.list_objects(root)}
    retry = 0
    while checkpoint_name(step, retry) in used:
        retry += 1
    return retry


def checkpoint_name(step: int, retry: int) -> str:
    """`step-000123`, or `step-000123-r1` where that path is taken."""
    return f"step-{step:06d}" + (f"-r{retry}" if retry else "")


def prune(run_url: str, keep_last: int, keep_every: int = 0) -> list[CheckpointRef]:
    """Remove all but the newest `keep_last` checkpoints and multiples of `keep_every` steps; gives the removed ones.

    A checkpoint's manifest goes first, so that a half-removed one is no checkpoint.
    """
    refs = list_checkpoints(run_url)
    kept = set(refs[-keep_last:]) | {ref for ref in refs if keep_every and ref.step % keep_every == 0}
    removed = [ref for ref in refs if ref not in kept]
    for ref in removed:
        storage.delete(ref.url, [MANIFEST])
        storage.delete(ref.url, list(storage.list_objects(ref.url)))
    return removed
