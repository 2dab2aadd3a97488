"""What a run is made of before its first step: process groups, and the model under DeepSpeed with its weights."""

from datetime import timedelta

import torch

from hdna.checkpoint import LoadedCheckpoint
from hdna.config import RunConfig
from hdna.model import HyenaDNA
from hdna.parallel import Mesh
from hdna.train import checkpointing
from hdna.train.engine import Engine, apex_is_nvidia, use_apex_layer_norm


def meshes(config: RunConfig) -> dict[int, Mesh]:
    """The mesh of each sequence-parallel degree in the curriculum; made before training, by all ranks."""
    timeout = timedelta(seconds=config.parallel.collective_timeout_s)
    degrees = sorted({1, *(stage.sequence_parallel for stage in config.curriculum)})
    return {degree: Mesh.of_this_process(degree, timeout) for degree in degrees}


def begun_engine(
    config: RunConfig, device: torch.device, saved: LoadedCheckpoint | None, source: LoadedCheckpoint | None
) -> Engine:
    """The model under DeepSpeed: with a saved run's weights and moments, a source's weights, or new ones."""
    torch.manual_seed(config.run.seed)
    model = HyenaDNA(config.model)
    model.backbone.activation_checkpointing = config.parallel.activation_checkpointing
    if device.type == "cuda" and apex_is_nvidia():
        use_apex_layer_norm(model)
    if weights := saved or source:
        checkpointing.load_parameters(model, weights)
    engine = Engine(model.to(device), config, device)
    if saved:
        checkpointing.restore(engine, saved)
    return engine
