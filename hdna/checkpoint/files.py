"""The files of one checkpoint, and the protocol that commits them.

    RUN/checkpoints/step-000123/part-00000-of-00002.safetensors   some of the tensors, in full and in fp32: one rank's
                                part-00001-of-00002.safetensors
                                state.json                        step, tokens, updates, seed, recipe, data
                                MANIFEST.json                     sizes and sha256 of all of these; written last

Tensors are named `parameters.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME` with the parameter names of HyenaDNA.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from hdna import storage
from hdna.checkpoint.listing import (
    FORMAT,
    MANIFEST,
    CheckpointRef,
    checkpoint_damage,
    checkpoint_manifest,
    checkpoint_url,
    list_checkpoints,
    newest_intact,
)
from hdna.checkpoint.state import STATE_FILE, RunState, parse_state
from hdna.errors import InputError
from hdna.storage.manifest import FileEntry, Manifest, describe_bytes, put_manifest

PARAMETERS = "parameters"
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Prefixes of the tensors: the parameters', and those of Adam's moments."""
_READ_AT_ONCE = 8
"""Parts, many of them small: what reading them takes is mostly waiting for a bucket's answers."""
_ABOUT = "about"
"""Where a message keeps a checkpoint's URL and state."""


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint in memory: tensors by kind (`parameters`, `exp_avg`, `exp_avg_sq`) and name, and the run's state."""

    url: str
    tensors: dict[str, dict[str, torch.Tensor]]
    state: RunState
    checksum: str = ""
    """sha256 of its manifest."""

    def to_bytes(self) -> bytes:
        """All of it as one message to other ranks."""
        about = json.dumps([self.url, self.state.to_json(), self.checksum]).encode()
        flat = {f"{kind}.{name}": tensor for kind, named in self.tensors.items() for name, tensor in named.items()}
        return save({_ABOUT: torch.frombuffer(bytearray(about), dtype=torch.uint8), **flat})

    @classmethod
    def from_bytes(cls, message: bytes) -> "LoadedCheckpoint":
        """What `to_bytes` has packed."""
        flat = load(message)
        url, state, checksum = json.loads(bytes(flat.pop(_ABOUT).tolist()))
        tensors: dict[str, dict[str, torch.Tensor]] = {kind: {} for kind in (PARAMETERS, *MOMENTS)}
        for key, tensor in flat.items():
            kind, _, name = key.partition(".")
            tensors[kind][name] = tensor
        return cls(url, tensors, RunState(**state), checksum)


def write_checkpoint_part(url: str, part: int, parts: int, tensors: dict[str, torch.Tensor]) -> FileEntry:
    """Write one rank's tensors (CPU, fp32) into the checkpoint at `url`; return the file's manifest entry.

    Raises InputError when another run is writing this checkpoint.
    """
    return _put_new(url, _part_name(part, parts), save({name: t.contiguous() for name, t in tensors.items()}))


def commit_checkpoint(
    run_url: str, state: RunState, attempt: int, parts: Sequence[FileEntry], about: dict[str, Any] | None = None
) -> None:
    """Write state.json, then the manifest, with what else it says `about` the checkpoint: from here on it exists.

    Raises InputError when another run is writing this checkpoint or has committed it.
    """
    url = checkpoint_url(run_url, state.step, attempt)
    files = {_part_name(part, len(parts)): entry for part, entry in enumerate(parts)}
    files[STATE_FILE] = _put_new(url, STATE_FILE, json.dumps(state.to_json(), indent=1).encode() + b"\n")
    if not put_manifest(url, FORMAT, {"step": state.step, **(about or {})}, files):
        raise _shared_by_two_runs(url)


def load_checkpoint(url: str) -> LoadedCheckpoint:
    """Load a committed checkpoint; every byte used is checked against the manifest.

    Raises InputError naming the file that is missing or damaged, the first one of several.
    """
    manifest = checkpoint_manifest(url)
    parts = [_part_name(part, len(manifest.files) - 1) for part in range(len(manifest.files) - 1)]
    if not parts or set(manifest.files) != {STATE_FILE, *parts}:
        raise InputError(f"{url}: its files are not all parts of one checkpoint: use an earlier one")
    tensors: dict[str, dict[str, torch.Tensor]] = {kind: {} for kind in (PARAMETERS, *MOMENTS)}
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        for path, part in zip(parts, pool.map(partial(_read_part, manifest), parts), strict=True):
            for key, tensor in part.items():
                kind, _, name = key.partition(".")
                if kind not in tensors or name in tensors[kind] or tensor.dtype != torch.float32:
                    raise InputError(f"{storage.join(url, path)}: unexpected tensor {key}: use an earlier checkpoint")
                tensors[kind][name] = tensor
    _check_moments(url, tensors)
    return LoadedCheckpoint(url, tensors, parse_state(manifest), manifest.checksum)


def load_newest(run_url: str) -> tuple[LoadedCheckpoint | None, list[str]]:
    """Load a run's newest intact checkpoint; return also why each newer one was skipped.

    It is read once, unless that fails: a checkpoint is damaged if its bytes, read again, still do not match.
    """
    skipped: list[str] = []
    for ref in reversed(list_checkpoints(run_url)):
        try:
            return load_checkpoint(ref.url), skipped
        except InputError:
            damage = checkpoint_damage(ref.url)
        if damage is None:
            return load_checkpoint(ref.url), skipped
        skipped.append(damage)
    return None, skipped


def load_weights(run_or_checkpoint_url: str) -> dict[str, torch.Tensor]:
    """Load full fp32 parameters by HyenaDNA name, from a checkpoint or from a run's newest intact one.

    Raises InputError when there is none.
    """
    return load_run_or_checkpoint(run_or_checkpoint_url).tensors[PARAMETERS]


def load_run_or_checkpoint(url: str) -> LoadedCheckpoint:
    """Load a checkpoint, or a run's newest intact one. Raises InputError when there is none."""
    return load_checkpoint(weights_url(url))


def weights_url(url: str) -> str:
    """The URL of a checkpoint itself, or of a run's newest intact one. Raises InputError when there is none."""
    return url if storage.exists(storage.join(url, MANIFEST)) else newest_checkpoint(url).url


def newest_checkpoint(run_url: str) -> CheckpointRef:
    """Find a run's newest intact checkpoint. Raises InputError when it has none."""
    ref, passed_over = newest_intact(run_url)
    if ref is None:
        reason = f": {'; '.join(passed_over)}" if passed_over else ""
        raise InputError(f"{run_url}: has no intact checkpoint{reason}")
    return ref


def _put_new(url: str, name: str, data: bytes) -> FileEntry:
    """Write a file that must not exist: the attempt's path was unused, so an existing file belongs to another run."""
    if not storage.write_if_absent(storage.join(url, name), data):
        raise _shared_by_two_runs(url)
    return describe_bytes(data)


def _shared_by_two_runs(url: str) -> InputError:
    return InputError(f"{url}: another run is writing this checkpoint: two runs must not share a run URL")


def tensors_of(data: bytes, url: str, advice: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file. Raises InputError, with `advice`, when it is none."""
    try:
        return load(data)
    except SafetensorError as error:
        raise InputError(f"{url}: {error}: {advice}") from None


def bytes_of(tensors: dict[str, torch.Tensor]) -> bytes:
    """A safetensors file of them, for other programs; they must not share memory."""
    return save(tensors, metadata={"format": "pt"})  # without it transformers refuses the file


def _read_part(manifest: Manifest, path: str) -> dict[str, torch.Tensor]:
    return tensors_of(manifest.read(path), storage.join(manifest.url, path), "use an earlier checkpoint")


def _check_moments(url: str, tensors: dict[str, dict[str, torch.Tensor]]) -> None:
    shapes = {name: tensor.shape for name, tensor in tensors[PARAMETERS].items()}
    for moment in MOMENTS:
        found = {name: tensor.shape for name, tensor in tensors[moment].items()}
        for name in sorted(shapes.keys() ^ found.keys()) or sorted(n for n in shapes if shapes[n] != found[n]):
            raise InputError(f"{url}: {moment}.{name} does not fit its parameter: use an earlier checkpoint")


def _part_name(part: int, parts: int) -> str:
    return f"part-{part:05d}-of-{parts:05d}.safetensors"
