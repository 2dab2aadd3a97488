"""The checkpoint that is judged: its weights in a model that is ready to be asked."""

from dataclasses import dataclass

import torch

from hdna.checkpoint import PARAMETERS, load_run_or_checkpoint
from hdna.config import RunConfig
from hdna.config.recipe import parse_recipe
from hdna.interop.geometry import refuse_misfits
from hdna.model import HyenaDNA
from hdna.train.allocator import keep_freed_memory


@dataclass(frozen=True)
class Subject:
    """Weights, and where they are from."""

    url: str
    """Of the checkpoint, even if a run was named."""
    step: int
    tokens: int
    """Seen in pretraining."""
    checksum: str
    """sha256 of the checkpoint's manifest: what identifies the weights."""
    config: RunConfig
    """The recipe that they were trained by."""
    model: HyenaDNA
    """In fp32 on `device`, without dropout; its parameters ask for no gradients."""
    device: torch.device


def load_subject(url: str, device: torch.device | None = None) -> Subject:
    """The newest intact checkpoint of the run at `url`, or the checkpoint or import there, on a GPU if there is one.

    Raises InputError when there is none, or it is damaged.
    """
    device = device or best_device()
    if device.type == "cpu":
        keep_freed_memory()  # windows and batches follow one another with tensors of the same sizes
    checkpoint = load_run_or_checkpoint(url)
    config = parse_recipe(checkpoint.state.recipe, f"the recipe in {checkpoint.url}")
    parameters = checkpoint.tensors[PARAMETERS]
    refuse_misfits(parameters, config.model, checkpoint.url)
    model = HyenaDNA(config.model)
    model.load_state_dict(parameters)
    model.eval().requires_grad_(False).to(device)
    state = checkpoint.state
    return Subject(checkpoint.url, state.step, state.tokens, checkpoint.checksum, config, model, device)


def best_device() -> torch.device:
    """The first GPU, or else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
