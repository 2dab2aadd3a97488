"""Workers for data preparation: Ray tasks on the cluster of a submitted job, or on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from hdna.storage.staging import InterruptedWorkError
from hdna_cluster.session import ray_session

MAX_PREP_WORKERS = 32
"""A single FASTA reader cannot keep more busy, and each holds a segment in the reader's memory."""

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def ray_pool(workers: int | None = None, gpus: bool = False) -> Iterator["RayPool"]:
    """A pool of Ray tasks.

    `workers` run at once; by default one per processor of the cluster, at most MAX_PREP_WORKERS. With `gpus`, each task
    has a GPU to itself, and by default one runs on each, if the cluster has any.
    """
    with ray_session() as ray:
        resources = ray.cluster_resources()
        on_gpus = int(resources.get("GPU", 0)) if gpus else 0
        default = on_gpus or min(int(resources.get("CPU", 1)), MAX_PREP_WORKERS)
        yield RayPool(ray, workers or default, 1 if on_gpus else 0)


class RayPool:
    """Runs functions as Ray tasks, one processor each; everything they need must be in their arguments."""

    def __init__(self, ray: Any, workers: int, gpus: int = 0) -> None:  # noqa: ANN401 - Ray has no types
        self._ray = ray
        self.workers = workers
        self._gpus = gpus
        """Of each task."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Start `function(*args)`; the returned function waits for its result or raises its exception."""
        reference = self._ray.remote(num_gpus=self._gpus)(function).remote(*args, **kwargs)

        def wait() -> T:
            try:
                result: T = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                text = str(error).strip().splitlines()[0]
                raise InterruptedWorkError(f"a Ray worker was lost ({text}): run the command again") from None
            return result

        return wait
