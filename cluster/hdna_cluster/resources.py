"""What each worker gets of a cluster."""

from typing import Any

from hdna.errors import InputError


def worker_resources(ray: Any, fewest: int, most: int, key: str) -> dict[str, float]:  # noqa: ANN401 - Ray has no types
    """Resources of each of `fewest` to `most` workers: a GPU if there are any, else an equal share of the processors.

    Raises InputError, about `key`, when the cluster has too few for the fewest.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind = "GPU" if any(node.get("GPU", 0) for node in nodes) else "CPU"
    have = int(sum(node.get(kind, 0) for node in nodes))
    if fewest > have:
        raise InputError(
            f"{key}={fewest}: the cluster has {have} {kind}s, and each worker needs one: "
            f"set {key}={have}, or start more nodes"
        )
    if kind == "CPU":
        counts = [int(node.get("CPU", 0)) for node in nodes]
        return {"CPU": float(processors_each(counts, min(have, most)))}
    return {"GPU": 1.0, "CPU": float(min(node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0)))}


def processors_each(nodes: list[int], workers: int) -> int:
    """The most processors each of `workers` can have, each worker on one node; `nodes` are their processor counts."""
    return next(each for each in range(max(nodes), 0, -1) if sum(node // each for node in nodes) >= workers)
