"""The files of one checkpoint, and the protocol that commits them.

    RUN/checkpoints/step-000123/part-00000-of-00002.safetensors   each rank's share of the tensors, whole and in fp32
                                part-00001-of-00002.safetensors
                                state.json                        step, tokens, updates, seed, recipe, data
                                MANIFEST.json                     sizes and sha256 of all of these; put last

Tensors are named `parameters.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME` with the parameter names of HyenaDNA.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from hdna import storage
from hdna.checkpoint.listing import FORMAT, MANIFEST, VERSION, CheckpointRef, checkpoint_name, newest_whole
from hdna.errors import InputError
from hdna.storage.manifest import FileEntry, put_manifest, read_manifest

PARAMETERS = "parameters"
"""Prefix of the parameters' tensors; moments have their own names."""


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint in memory: tensors by kind (`parameters`, `exp_avg`, `exp_avg_sq`) and name, and the run's state."""

    tensors: dict[str, dict[str, torch.Tensor]]
    state: dict[str, Any]


def write_part(url: str, part: int, parts: int, tensors: dict[str, torch.Tensor]) -> FileEntry:
    """Write one rank's share of the tensors, CPU and fp32; gives what the manifest will say of it.

    Raises InputError when another run is writing at this place.
    """
    return _put_new(url, _part_name(part, parts), save({name: t.contiguous() for name, t in tensors.items()}))


def commit_checkpoint(run_url: str, step: int, retry: int, parts: list[FileEntry], state: dict[str, Any]) -> None:
    """Write state.json, then the manifest: from here on the checkpoint exists.

    Raises InputError when another run is writing at this place, or has committed a checkpoint there.
    """
    url = checkpoint_url(run_url, step, retry)
    files = {_part_name(part, len(parts)): entry for part, entry in enumerate(parts)}
    files["state.json"] = _put_new(url, "state.json", json.dumps(state, indent=1).encode() + b"\n")
    if not put_manifest(url, MANIFEST, {"format": FORMAT, "version": VERSION, "step": step}, files):
        raise _shared(url)


def checkpoint_url(run_url: str, step: int, retry: int) -> str:
    """Where the checkpoint of a step lies."""
    return storage.join(run_url, "checkpoints", checkpoint_name(step, retry))


def read_state(url: str) -> dict[str, Any]:
    """The state.json of a committed checkpoint."""
    state: dict[str, Any] = json.loads(storage.read(storage.join(url, "state.json")))
    return state


def load_checkpoint(url: str) -> Snapshot:
    """A committed checkpoint, every checksum verified as it is read.

    Raises InputError naming the file that is missing or damaged.
    """
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    manifest = _manifest(url)
    for path, entry in manifest["files"].items():
        if path.endswith(".safetensors"):
            for key, tensor in _read_part(storage.join(url, path), entry).items():
                kind, _, name = key.partition(".")
                tensors.setdefault(kind, {})[name] = tensor
    return Snapshot(tensors, read_state(url))


def load_weights(run_or_checkpoint_url: str) -> dict[str, torch.Tensor]:
    """Full fp32 parameters by HyenaDNA parameter name: of a checkpoint, or of a run's newest whole checkpoint.

    Raises InputError when there is none.
    """
    url = run_or_checkpoint_url
    if not storage.exists(storage.join(url, MANIFEST)):
        url = newest_checkpoint(url).url
    return load_checkpoint(url).tensors[PARAMETERS]


def newest_checkpoint(run_url: str) -> CheckpointRef:
    """A run's newest whole checkpoint. Raises InputError when it has none."""
    ref, passed_over = newest_whole(run_url)
    if ref is None:
        reason = f": {'; '.join(passed_over)}" if passed_over else ""
        raise InputError(f"{run_url}: holds no whole checkpoint{reason}")
    return ref


def _put_new(url: str, name: str, data: bytes) -> FileEntry:
    """Write a file that must not be there: the place was free, so one that is there belongs to another run."""
    if not storage.write_if_absent(storage.join(url, name), data):
        raise _shared(url)
    return FileEntry(len(data), hashlib.sha256(data).hexdigest())


def _shared(url: str) -> InputError:
    return InputError(f"{url}: another run is writing this checkpoint: two runs must not share a run URL")


def _manifest(url: str) -> dict[str, Any]:
    try:
        return read_manifest(url, MANIFEST, FORMAT, VERSION)
    except FileNotFoundError:
        raise InputError(f"{url}: not a committed checkpoint: it has no {MANIFEST}") from None


def _read_part(url: str, entry: dict[str, Any]) -> dict[str, torch.Tensor]:
    try:
        data = storage.read(url)
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise InputError(f"{url}: does not have the sha256 its manifest says: use an earlier checkpoint")
        return load(data)
    except FileNotFoundError:
        raise InputError(f"{url}: missing though the manifest names it: use an earlier checkpoint") from None
    except SafetensorError as error:
        raise InputError(f"{url}: {error}") from None


def _part_name(part: int, parts: int) -> str:
    return f"part-{part:05d}-of-{parts:05d}.safetensors"
