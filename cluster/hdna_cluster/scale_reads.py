"""Which shards the nodes of a run read at which step: the data's own order, asked without any data."""

from collections.abc import Iterator, Sequence

import numpy as np

from hdna.config import RunConfig
from hdna.data.curriculum import Curriculum
from hdna.data.order import DataOrder, IntArray, WindowTable
from hdna_cluster.scale import ClusterShape


class ShardReads:
    """The shards of a recipe's steps, by number across all train tables."""

    def __init__(self, config: RunConfig, tables: Sequence[WindowTable]) -> None:
        self._curriculum = Curriculum.of(config)
        data = config.data
        self._order = DataOrder(tables, self._curriculum, config.run.seed, data.weights, data.reverse_complement)
        self._windows = np.concatenate([np.diff(table.firsts) for table in tables]).cumsum()
        """Up to each shard's last one, across all tables."""

    def of_step(self, step: int) -> IntArray:
        """Those of the whole batch, which every rank has copied to its node ahead of the step."""
        return np.unique(self._shard_of(self._order.batch(step).window))

    def of_node(self, step: int, shape: ClusterShape, node: int) -> IntArray:
        """Those of the samples that a node's ranks train on."""
        stage, crops = self._curriculum.stage(step), self._order.batch(step)
        data_ranks = shape.workers // stage.sequence_parallel
        first = node * shape.workers_each
        mine = {rank // stage.sequence_parallel for rank in range(first, first + shape.workers_each)}
        samples = [
            sample
            for micro_step in range(stage.accumulation(data_ranks))
            for data_rank in mine - {data_ranks}  # idle ranks have no samples
            for sample in stage.micro_batch(micro_step, data_rank, data_ranks)
        ]
        return np.unique(self._shard_of(crops.window[samples]))

    def copied(self, steps: range) -> Iterator[int]:
        """Shards that a node copies for each of these steps, if it has none and its cache holds all of them."""
        seen = np.empty(0, np.int64)
        for step in steps:
            known, seen = len(seen), np.union1d(seen, self.of_step(step))
            yield len(seen) - known

    def _shard_of(self, windows: IntArray) -> IntArray:
        return np.searchsorted(self._windows, windows, side="right")
