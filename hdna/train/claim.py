"""Whose run a URL holds: two runs never share one."""

import os
import socket
from typing import Any

from hdna import storage
from hdna.config import RunConfig, dump_recipe
from hdna.config.recipe import flatten, parse_recipe
from hdna.errors import InputError
from hdna.evaluate.record import RECIPE, STATE, read_json, write_json

_FREE_SECTIONS = ("run.url", "run.resume", "data.shards", "parallel.", "checkpoint.", "evaluate.")
_FREE_STAGE_KEYS = ("micro_batch_size", "sequence_parallel")
"""What may change between two sittings of one run: where it lies and how the work is spread. Shard sets are compared by
their manifests' checksums, so that a moved set is still the same."""


def claim(config: RunConfig) -> None:
    """Make `run.url` this recipe's, or see that it already is.

    Raises InputError when the URL holds another run, a run in progress on this machine, or files that are no run.
    """
    url = config.run.url
    place = storage.join(url, RECIPE)
    _refuse_running(url)
    if not storage.write_if_absent(place, dump_recipe(config).encode()):
        existing = parse_recipe(storage.read(place).decode(), place)
        _refuse_other(config, existing, url)
        storage.write(place, dump_recipe(config).encode())
    write_json(url, STATE, {**read_json(url, STATE), **_owner(), "status": "running"})


def release(url: str, status: str, **position: Any) -> None:  # noqa: ANN401 - what state.json tells is open
    """Say in state.json how a run ended."""
    write_json(url, STATE, {**read_json(url, STATE), "status": status, **position})


def _refuse_other(config: RunConfig, existing: RunConfig, url: str) -> None:
    if config.run.resume == "never":
        raise InputError(f"{url}: already holds a run and run.resume is 'never': choose another run.url")
    ours, theirs = _identity(config), _identity(existing)
    if config.run.resume == "force":
        ours, theirs = ({k: v for k, v in side.items() if k.startswith("model.")} for side in (ours, theirs))
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            mend = "choose another run.url" + (
                "" if key.startswith("model.") else ", or continue it with run.resume=force"
            )
            raise InputError(
                f"{url}: already holds another run: its {key} is {theirs.get(key)}, this recipe's is {ours.get(key)}: "
                f"{mend}"
            )


def _identity(config: RunConfig) -> dict[str, Any]:
    return {
        key: value
        for key, value in flatten(config).items()
        if not key.startswith(_FREE_SECTIONS) and not (key.startswith("curriculum.") and key.endswith(_FREE_STAGE_KEYS))
    }


def _owner() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _refuse_running(url: str) -> None:
    state = read_json(url, STATE)
    if state.get("status") != "running" or state.get("host") != socket.gethostname():
        return
    pid = state.get("pid")
    if isinstance(pid, int) and pid != os.getpid() and _alive(pid):
        raise InputError(f"{url}: process {pid} is training this run on this machine: wait for it, or end it first")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
