"""The files that published weights come in, read without running what is in them.

A training checkpoint (`weights.ckpt`) and `pytorch_model.bin` are pickles, which may ask to run any code: they are read
with `weights_only=True`, which knows tensors and plain containers, and refuses the rest.
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hdna import storage
from hdna.checkpoint import tensors_of
from hdna.errors import InputError
from hdna.storage.manifest import FileEntry, describe_bytes
from hdna.storage.untrusted_json import parse_json

NAMES = ("model.safetensors", "pytorch_model.bin", "weights.ckpt")
"""What a folder is searched for, in this order."""
CONFIG = "config.json"


@dataclass(frozen=True)
class PublishedWeights:
    """A file's tensors, and the published configuration beside it, if there is one."""

    url: str
    file: FileEntry
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    """Empty without `config.json`."""


def read_weights(url: str) -> PublishedWeights:
    """Read a weights file, or the one in a folder.

    Raises:
        InputError: there is none; it is damaged, or contains more than tensors and plain values.

    """
    url = _file_at(url)
    data = storage.read(url)
    tensors = _tensors(data, url)
    config_url = storage.join(url.rpartition("/")[0] or ".", CONFIG)
    config: dict[str, Any] = {}
    if storage.exists(config_url):
        config = parse_json(storage.read(config_url), dict[str, Any], config_url, "remove it, or repair it")
    return PublishedWeights(url, describe_bytes(data), tensors, config)


def _file_at(url: str) -> str:
    """The URL itself, or the first of NAMES below it."""
    if url.endswith((".safetensors", ".bin", ".ckpt", ".pt", ".pth")):
        return url
    for name in NAMES:
        if storage.exists(file := storage.join(url, name)):
            return file
    raise InputError(f"{url}: is no weights file and has none of {', '.join(NAMES)}: name the file")


def _tensors(data: bytes, url: str) -> dict[str, Tensor]:
    if url.endswith(".safetensors"):
        return tensors_of(data, url, "is it all there, and a safetensors file?")
    return _unpickled(data, url)


def _unpickled(data: bytes, url: str) -> dict[str, Tensor]:
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{url}: not weights that can be read without running code from the file ({reason}): "
            "save its state_dict alone, or convert it to safetensors where you trust it"
        ) from None
    state = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise InputError(f"{url}: contains no state dict")
    if odd := next((key for key, value in state.items() if not isinstance(value, Tensor)), None):
        raise InputError(f"{url}: {odd!r} in its state dict is not a tensor")
    return dict(state)
