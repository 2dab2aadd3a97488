"""Requests of a run to its bucket: at the start, in a save, when it goes on after a loss, and in between.

They are counted from the code, for a recipe whose run.url and data.shards are in buckets.
"""

from dataclasses import dataclass
from math import ceil

from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.model.flops import parameter_count, parameter_tensors
from hdna.run.lease import RENEW_S
from hdna.run.status import HEARTBEAT_S

PUBLISHED_EVERY_S = 30.0
"""Between uploads of metrics.jsonl and of TensorBoard's file, until these have 30 MB."""
LISTED_AT_ONCE = 1000
"""Objects in one answer to a LIST, or one request to S3 that deletes."""
SHARD_BASES = 1 << 26
"""Bases of a shard that `hdna prep shards` makes."""
READ_AT_ONCE = 8
"""Parts of a checkpoint on resuming."""


@dataclass(frozen=True)
class Requests:
    """Numbers of requests by kind."""

    get: int = 0
    """HEAD too."""
    put: int = 0
    list: int = 0
    delete: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.get + self.put + self.list + self.delete


@dataclass(frozen=True)
class Load:
    """What a run asks of its bucket on one occasion, beside shards."""

    requests: Requests
    one_by_one: int
    """The longest chain of requests each of which waits for the one before."""
    bytes_read: int = 0
    """Of checkpoints."""
    bytes_written: int = 0


def start(config: RunConfig) -> Load:
    """From the command to the first step of a new run: the driver's part, then the ranks'."""
    driver = Requests(get=len(config.data.shards) + 2, put=6, list=6, delete=2)
    ranks = Requests(get=_manifests(config) + 2, put=2, list=1)
    return _begun(config, _sum(driver, ranks))


def resume(config: RunConfig) -> Load:
    """From the loss of a worker to the first step of the next group: rank 0 reads the newest checkpoint."""
    kept = _pages(_kept(config) * _objects(config))
    driver = Requests(put=1, list=1 + 2 * kept, delete=1)
    ranks = Requests(get=_manifests(config) + _objects(config) + 2, put=1, list=kept)
    at_once = _parts(config) - ceil(_parts(config) / READ_AT_ONCE)
    return _begun(config, _sum(driver, ranks), checkpoint_bytes(config), at_once)


def save(config: RunConfig) -> Load:
    """A checkpoint, when keep_last others are there: metrics, all parts, their check and the oldest's removal.

    What is known of the older ones is not read again.
    """
    objects = _objects(config)
    lists = 3 + _pages((_kept(config) + 1) * objects)
    deletes = 1 + _pages(objects - 1)  # the manifest first
    requests = Requests(get=objects, put=2 + objects, list=lists, delete=deletes)
    others = _parts(config) - 1  # are written at the same time
    return Load(requests, requests.total - others, checkpoint_bytes(config), checkpoint_bytes(config))


def hour() -> Load:
    """An hour of training between saves: the lease's renewals, state.json, metrics; whatever the number of ranks."""
    renewals, heartbeats, uploads = (round(3600 / pause) for pause in (RENEW_S, HEARTBEAT_S, PUBLISHED_EVERY_S))
    return Load(Requests(put=renewals + heartbeats + 2 * uploads, list=renewals + uploads), one_by_one=3)


def checkpoint_bytes(config: RunConfig) -> int:
    """Parameters and both moments in fp32, without the files' headers."""
    return 3 * 4 * parameter_count(config.model)


def shards_per_step(config: RunConfig) -> float:
    """Shards that a step uses up, whole ones, on average: what every node copies until it has all of them."""
    return config.optim.global_batch_tokens / SHARD_BASES


def _objects(config: RunConfig) -> int:
    """Of a checkpoint: its parts, state.json, the manifest."""
    return _parts(config) + 2


def _parts(config: RunConfig) -> int:
    """One of each rank, while there are tensors for it."""
    return min(config.parallel.workers, parameter_tensors(config.model))


def _kept(config: RunConfig) -> int:
    """Checkpoints at the end of the run."""
    every = config.checkpoint.keep_every
    return config.checkpoint.keep_last + (Curriculum.of(config).steps // every if every else 0)


def _manifests(config: RunConfig) -> int:
    """Each rank reads the manifest of each shard set."""
    return len(config.data.shards) * config.parallel.workers


def _begun(config: RunConfig, requests: Requests, bytes_read: int = 0, at_once: int = 0) -> Load:
    """The ranks read their manifests at the same time; `at_once`: what does not wait for others besides."""
    at_once += _manifests(config) - len(config.data.shards)
    return Load(requests, requests.total - at_once, bytes_read)


def _sum(one: Requests, other: Requests) -> Requests:
    return Requests(one.get + other.get, one.put + other.put, one.list + other.list, one.delete + other.delete)


def _pages(objects: int) -> int:
    return max(1, ceil(objects / LISTED_AT_ONCE))
