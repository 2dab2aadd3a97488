"""The shard sets that weights were trained on, as far as they can still be found."""

from hdna.checkpoint.state import read_state
from hdna.downstream.subject import Subject
from hdna.errors import InputError
from hdna.genome.shard_set import ShardSet, load_shard_set


def pretraining_sets(subject: Subject) -> list[ShardSet]:
    """The sets that the checkpoint names, as they were.

    Raises InputError when it names none (imported weights), or one is missing or has changed.
    """
    checksums = read_state(subject.url).data
    if not checksums:
        raise InputError(f"{subject.url}: does not say what it was trained on")
    sets = [load_shard_set(url) for url in subject.config.data.shards]
    for number, own in enumerate(sets):
        if checksums.get(str(number)) != own.checksum:
            raise InputError(f"{own.url}: not the shard set that {subject.url} was trained on: it has changed since")
    return sets


def trained_before(subject: Subject) -> str | None:
    """What the sets do not say: that the run began from other weights."""
    begun_from = subject.config.run.init_from
    return begun_from and f"the run began from {begun_from}: what that was trained on is not compared"
