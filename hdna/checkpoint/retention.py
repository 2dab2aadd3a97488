"""Which checkpoints are kept, and the removal of the others."""

from itertools import islice
from math import inf
from sys import maxsize

from hdna import storage
from hdna.checkpoint.listing import (
    MANIFEST,
    CheckpointRef,
    attempted_saves,
    checkpoint_manifest,
    checkpoint_url,
    intact_checkpoints,
    list_checkpoints,
)
from hdna.errors import InputError

_MAX_BITS = 1e6
"""Anything above is no score: a uniform guess costs 2."""


def prune(run_url: str, keep_last: int, keep_every: int = 0, verified: set[str] | None = None) -> list[str]:
    """Remove old checkpoints; return their URLs.

    Kept are the newest `keep_last` intact ones, multiples of `keep_every` steps, and of the rest and the newest the one
    with the fewest valid bits per base, if any was saved at a step with an evaluation. Damaged checkpoints do not
    count, and nothing newer than the oldest of the newest is removed. What interrupted saves left is removed too, up to
    the newest intact checkpoint: later files may belong to a save in progress. A manifest goes first, so that a
    half-removed checkpoint is not one.

    `verified`: checkpoints found intact before, which are not read again; those found now are added. Else each save of
    a run would read `keep_last` checkpoints.
    """
    refs = list_checkpoints(run_url)
    verified = set() if verified is None else verified
    kept = list(islice(intact_checkpoints(refs, [], verified), min(keep_last, maxsize)))
    verified.update(ref.url for ref in kept)
    if not kept:
        return []
    old = [ref for ref in refs if ref < kept[-1] and not (keep_every and ref.step % keep_every == 0)]
    best = _best([*old, *kept], verified)
    removed = [ref.url for ref in old if ref != best]
    committed = {(ref.step, ref.attempt) for ref in refs}
    interrupted = sorted(save for save in attempted_saves(run_url) if save not in committed and save[0] < kept[0].step)
    removed += [checkpoint_url(run_url, step, attempt) for step, attempt in interrupted]
    _remove(removed)
    return removed


def remove_interrupted(run_url: str) -> None:
    """Remove what saves without a manifest have left; only for a driver whose fence shuts out every other save.

    A worker group that was stopped right before its commit finds its files gone.
    """
    committed = {(ref.step, ref.attempt) for ref in list_checkpoints(run_url)}
    interrupted = [save for save in attempted_saves(run_url) if save not in committed]
    _remove([checkpoint_url(run_url, step, attempt) for step, attempt in interrupted])


def _best(refs: list[CheckpointRef], verified: set[str]) -> CheckpointRef | None:
    """The intact one with the fewest valid bits per base; the newest of equals. None if none has been evaluated."""
    scored = sorted((ref for ref in refs if _score(ref) < inf), key=lambda ref: (-_score(ref), ref))
    best = next(intact_checkpoints(scored, [], verified), None)
    if best:
        verified.add(best.url)
    return best


def _score(ref: CheckpointRef) -> float:
    """Valid bits per base; infinite if unknown."""
    try:
        score = checkpoint_manifest(ref.url).body.get("valid_bits_per_base")
    except InputError:
        return inf
    if not isinstance(score, int | float) or isinstance(score, bool):
        return inf
    return float(score) if 0 <= score < _MAX_BITS else inf


def _remove(urls: list[str]) -> None:
    for url in urls:
        storage.delete(url, [MANIFEST])
        storage.delete(url, list(storage.list_objects(url)))
