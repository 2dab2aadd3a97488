"""Checks before any worker starts: seconds instead of a cluster's start-up."""

from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder, window_table
from hdna.genome.shard_set import load_shard_set
from hdna.run.tracking import refuse_missing
from hdna.train.source import refuse_other_model


def preflight(config: RunConfig) -> None:
    """Raise InputError when a shard set is missing or damaged, or has no window long enough for a stage; or when the
    weights to begin from are another model's; or when a tracker's package is not installed.
    """
    refuse_missing(config.run.trackers)
    shard_sets = [load_shard_set(url) for url in config.data.shards]
    tables = [window_table(shard_set, "train") for shard_set in shard_sets]
    refuse_other_model(config)
    DataOrder(tables, Curriculum.of(config), config.run.seed, config.data.weights)
