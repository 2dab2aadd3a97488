"""Notice that a node is taken away. (A run that gets it: tests/chaos/test_clusters.py.)"""


def test_what_is_read_of_ray_train_is_there() -> None:
    """Were the name another one, no notice would ever be seen."""
    from ray.train.v2._internal.execution.context import TrainContext
    from ray.train.v2._internal.execution.preemption import PreemptionContext

    assert "preemption_context" in TrainContext.__dataclass_fields__
    assert PreemptionContext().preemption_info is None
