"""The door to Ray: joins the cluster of a submitted job, or starts Ray on this machine and stops it afterwards."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdna import storage
from hdna.errors import InputError

_OF_LOST_PROCESSES = (
    "A worker died or was killed while executing a task",
    "Task Mailbox.put failed",
    "Task MapWorker(",  # of Ray Data: it is tried again
    "The node with node id",  # is dead, after so many missed health checks
)


def is_submitted_job() -> bool:
    """Whether this process is the entry point of a `ray job submit`."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def absolute_url(url: str) -> str:
    """A local path made absolute, as workers run in directories of their own; a bucket's URL as it is.

    A submitted job runs in Ray's temporary copy of the working directory, with which a relative path would be lost:
    raises InputError.
    """
    if not storage.is_local(url):
        return url
    path = url.removeprefix("file://")
    if is_submitted_job() and not os.path.isabs(path):  # noqa: PTH117 - of the text, not of an existing path
        raise InputError(
            f"{url}: a relative path in a submitted job is in Ray's temporary copy of the working directory: "
            f"give an absolute path shared by all nodes, or a bucket URL"
        )
    return str(storage.local_path(url))


@contextmanager
def ray_session() -> Iterator[Any]:
    """The `ray` module, connected; Ray turns on token authentication for a cluster that it starts itself."""
    # Disable usage statistics; the override warning only confuses users.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Otherwise, a call after an interrupt's shutdown would restart Ray and hang.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    # After a node is lost, Ray Train asks at first for workers on it too, for 60 s by default, before it counts again.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "10")
    import ray

    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    _say_nothing_of_lost_processes(ray)
    settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if is_submitted_job() or os.environ.get("RAY_ADDRESS"):
            ray.init(**settings)
        else:
            # With the dashboard: without its list of actors, Ray Train waits ten seconds at the end.
            ray.init(address="local", include_dashboard=True, **settings)
            _make_token_private()
        yield ray
    finally:
        ray.shutdown()


def logs_folder(ray: Any) -> str:  # noqa: ANN401 - Ray has no types
    """Where the logs of Ray Train's workers are, on the node of each; it depends on RAY_TMPDIR and --temp-dir."""
    context = ray.get_runtime_context()
    return str(Path(context.get_temp_dir(), context.get_session_name(), "logs", "train"))


def _say_nothing_of_lost_processes(ray: Any) -> None:  # noqa: ANN401
    """Ray prints a screenful about each, whatever `log_to_driver` is; whoever waits for the process says it in a line.

    Its other messages stay: that no node has what a worker asks for, for example. There is no public setting.
    """
    printed = ray._private.worker.print_to_stdstream
    if printed.__module__ == __name__:
        return  # done in an earlier session

    def print_to_stdstream(data: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if not data["lines"][0].startswith(_OF_LOST_PROCESSES):
            printed(data, *args, **kwargs)

    ray._private.worker.print_to_stdstream = print_to_stdstream


def _make_token_private() -> None:
    """Restrict the token of a cluster that Ray starts, which Ray leaves readable by every user of the machine."""
    token = Path("~/.ray/auth_token").expanduser()
    if token.is_file():
        token.chmod(0o600)
