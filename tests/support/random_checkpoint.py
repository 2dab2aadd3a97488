"""A checkpoint of a model that never was trained, whose filters and biases are not small."""

from pathlib import Path

import torch

from hdna.checkpoint import MOMENTS, PARAMETERS, RunState, checkpoint_url, commit_checkpoint, write_checkpoint_part
from hdna.config.recipe import dump_recipe
from hdna.config.schema import DataConfig, ModelConfig, OptimConfig, RunConfig, RunSection, Stage
from hdna.model import HyenaDNA


def random_checkpoint(run: Path, config: ModelConfig, seed: int = 0) -> HyenaDNA:
    """Write it as the only one of a run; return the model, ready to be asked."""
    torch.manual_seed(seed)
    model = HyenaDNA(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    stage = Stage(context_length=config.l_max, until_tokens=config.l_max)
    recipe = RunConfig(
        run=RunSection(url=str(run)),
        model=config,
        data=DataConfig(shards=["none"]),
        curriculum=[stage],
        optim=OptimConfig(global_batch_tokens=config.l_max),
    )
    tensors = {f"{PARAMETERS}.{name}": tensor for name, tensor in model.state_dict().items()}
    for moment in MOMENTS:
        tensors |= {f"{moment}.{name}": torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    part = write_checkpoint_part(checkpoint_url(str(run), 1, 0), 0, 1, tensors)
    commit_checkpoint(str(run), RunState(step=1, tokens=config.l_max, recipe=dump_recipe(recipe)), 0, [part])
    return model
