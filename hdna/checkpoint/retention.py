"""Which checkpoints are kept, and the removal of the others."""

from itertools import islice
from math import inf
from sys import maxsize

from hdna import storage
from hdna.checkpoint.listing import (
    MANIFEST,
    CheckpointRef,
    Saves,
    attempted_saves,
    checkpoint_manifest,
    checkpoint_url,
    committed,
    examined,
)
from hdna.errors import InputError
from hdna.storage.manifest import Manifest

_MAX_BITS = 1e6
"""Anything above is no score: a uniform guess costs 2."""


def prune(run_url: str, keep_last: int, keep_every: int = 0, verified: dict[str, float] | None = None) -> list[str]:
    """Remove old checkpoints; return their URLs.

    Kept are the newest `keep_last` intact ones, multiples of `keep_every` steps, and of the rest and the newest the one
    with the fewest valid bits per base, if any was saved at a step with an evaluation. Damaged checkpoints do not
    count, and nothing newer than the oldest of the newest is removed. What interrupted saves left is removed too, up to
    the newest intact checkpoint: later files may belong to a save in progress. A manifest goes first, so that a
    half-removed checkpoint is not one.

    `verified`: checkpoints found intact before, by URL, with their scores; they are not read again. Those found now are
    added, those removed taken out. Else each save of a run would read `keep_last` checkpoints.
    """
    saves = attempted_saves(run_url)
    refs = committed(run_url, saves)
    verified = {} if verified is None else verified
    kept = list(islice((ref for ref in reversed(refs) if _is_intact(ref, verified)), min(keep_last, maxsize)))
    if not kept:
        return []
    old = [ref for ref in refs if ref < kept[-1] and not (keep_every and ref.step % keep_every == 0)]
    best = _best([*old, *kept], verified)
    removed = [(ref.step, ref.attempt) for ref in old if ref != best]
    removed += [save for save in _interrupted(saves) if save[0] < kept[0].step]
    _remove(run_url, {save: saves[save] for save in removed})
    urls = [checkpoint_url(run_url, *save) for save in removed]
    for url in urls:
        verified.pop(url, None)
    return urls


def remove_interrupted(run_url: str) -> None:
    """Remove what saves without a manifest have left; only for a driver whose fence shuts out every other save.

    A worker group that was stopped right before its commit finds its files gone.
    """
    saves = attempted_saves(run_url)
    _remove(run_url, {save: saves[save] for save in _interrupted(saves)})


def _interrupted(saves: Saves) -> list[tuple[int, int]]:
    return sorted(save for save, files in saves.items() if MANIFEST not in files)


def _is_intact(ref: CheckpointRef, verified: dict[str, float]) -> bool:
    if ref.url not in verified:
        found = examined(ref.url)
        if isinstance(found, str):
            return False
        verified[ref.url] = _score(found)
    return True


def _best(refs: list[CheckpointRef], verified: dict[str, float]) -> CheckpointRef | None:
    """The intact one with the fewest valid bits per base; the newest of equals. None if none has been evaluated."""
    scores = {ref: verified[ref.url] if ref.url in verified else _score_of(ref) for ref in refs}
    ranked = sorted((ref for ref in refs if scores[ref] < inf), key=lambda ref: (scores[ref], -ref.step, -ref.attempt))
    return next((ref for ref in ranked if _is_intact(ref, verified)), None)


def _score_of(ref: CheckpointRef) -> float:
    """Of a checkpoint that nothing is known of."""
    try:
        return _score(checkpoint_manifest(ref.url))
    except InputError:
        return inf


def _score(manifest: Manifest) -> float:
    """Valid bits per base; infinite if unknown."""
    score = manifest.body.get("valid_bits_per_base")
    if not isinstance(score, int | float) or isinstance(score, bool):
        return inf
    return float(score) if 0 <= score < _MAX_BITS else inf


def _remove(run_url: str, saves: Saves) -> None:
    for (step, attempt), files in saves.items():
        url = checkpoint_url(run_url, step, attempt)
        storage.delete(url, [MANIFEST])
        storage.delete(url, [name for name in files if name != MANIFEST])
