"""Which checkpoints are kept, and the removal of the others."""

from itertools import islice
from sys import maxsize

from hdna import storage
from hdna.checkpoint.listing import (
    MANIFEST,
    attempted_saves,
    checkpoint_url,
    intact_checkpoints,
    list_checkpoints,
)


def prune(run_url: str, keep_last: int, keep_every: int = 0, verified: set[str] | None = None) -> list[str]:
    """Remove all but the newest `keep_last` intact checkpoints and multiples of `keep_every` steps; return their URLs.

    Damaged checkpoints do not count, and nothing newer than the oldest one kept is removed. What interrupted saves left
    is removed too, up to the newest intact checkpoint: later files may belong to a save in progress. A manifest goes
    first, so that a half-removed checkpoint is not one.

    `verified`: checkpoints found intact before, which are not read again; those found now are added. Else each save of
    a run would read `keep_last` checkpoints.
    """
    refs = list_checkpoints(run_url)
    verified = set() if verified is None else verified
    kept = list(islice(intact_checkpoints(refs, [], verified), min(keep_last, maxsize)))
    verified.update(ref.url for ref in kept)
    if not kept:
        return []
    removed = [ref.url for ref in refs if ref < kept[-1] and not (keep_every and ref.step % keep_every == 0)]
    committed = {(ref.step, ref.attempt) for ref in refs}
    interrupted = sorted(save for save in attempted_saves(run_url) if save not in committed and save[0] < kept[0].step)
    removed += [checkpoint_url(run_url, step, attempt) for step, attempt in interrupted]
    for url in removed:
        storage.delete(url, [MANIFEST])
        storage.delete(url, list(storage.list_objects(url)))
    return removed
