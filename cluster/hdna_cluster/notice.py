"""Notice that a node of the run is about to be taken away, by `ray drain-node` or by Ray's autoscaler.

Ray Train tells each worker of it; its public `get_preemption_info` makes all of them meet at every call, which is too
much for every step. What it would return is read here, in the worker itself.
"""


def has_come() -> bool:
    """In a worker: whether a node of its group is going away."""
    from ray.train.v2._internal.execution.context import get_train_context

    return get_train_context().preemption_context.preemption_info is not None
