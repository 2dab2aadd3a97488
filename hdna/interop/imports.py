"""Published weights as a checkpoint of ours: what training begins from, and everything that reads runs can read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hdna import storage
from hdna.checkpoint import (
    MOMENTS,
    PARAMETERS,
    RunState,
    checkpoint_url,
    commit_checkpoint,
    list_checkpoints,
    next_attempt,
    write_checkpoint_part,
)
from hdna.config.recipe import dump_recipe
from hdna.config.schema import DataConfig, ModelConfig, OptimConfig, RunConfig, RunSection, Stage
from hdna.errors import InputError
from hdna.interop.geometry import model_config, refuse_misfits, stated_extension
from hdna.interop.reference import EMBEDDING, HUGGING_FACE, from_reference
from hdna.interop.weights_file import PublishedWeights
from hdna.run.files import RECIPE

_LAYOUTS = {"model.": "training checkpoint", HUGGING_FACE: "Hugging Face port"}
"""By the prefix of its keys; without one, the standalone file."""


@dataclass(frozen=True)
class Import:
    """A model of ours with published weights."""

    config: ModelConfig
    parameters: dict[str, Tensor]
    layout: str
    rows: int
    """Of the stored vocabulary."""


def translated(weights: PublishedWeights, shift: float | None) -> Import:
    """The weights by our names, in fp32, with the geometry that their shapes have.

    Raises InputError when they are not those of a HyenaDNA language model.
    """
    tensors = weights.tensors
    extension = stated_extension(weights.config)
    renamed = {name: tensor.float() for name, tensor in from_reference(tensors, extension).items()}
    config = model_config(renamed, _stored_l_max(tensors), weights.config, shift)
    config = replace(config, extended_from=extension.extended_from, filter_positions=extension.filter_positions)
    refuse_misfits(renamed, config, weights.url)
    first = next(iter(tensors))
    layout = next((name for prefix, name in _LAYOUTS.items() if first.startswith(prefix)), "standalone file")
    rows = next(len(tensor) for key, tensor in tensors.items() if key.endswith(EMBEDDING))
    return Import(config, renamed, layout, rows)


def write_import(found: Import, weights: PublishedWeights, url: str) -> str:
    """Write a recipe with the model, and the checkpoint, step 0 with moments of zero; return the checkpoint's URL.

    An import that was interrupted between them goes on. Raises InputError when `url` is taken by anything else.
    """
    recipe, recipe_url = dump_recipe(_recipe(found.config, url)), storage.join(url, RECIPE)
    claimed = storage.write_if_absent(recipe_url, recipe.encode()) or storage.read(recipe_url) == recipe.encode()
    if not claimed or list_checkpoints(url):
        raise InputError(f"{url}: already contains a run or an import: choose another --out")
    tensors = {f"{PARAMETERS}.{name}": tensor for name, tensor in found.parameters.items()}
    for moment in MOMENTS:
        tensors |= {f"{moment}.{name}": torch.zeros_like(tensor) for name, tensor in found.parameters.items()}
    attempt = next_attempt(url, 0)
    part = write_checkpoint_part(checkpoint_url(url, 0, attempt), 0, 1, tensors)
    source = {"imported": {"from": weights.url, "sha256": weights.file.sha256, "layout": found.layout}}
    commit_checkpoint(url, RunState(recipe=recipe), attempt, [part], source)
    return checkpoint_url(url, 0, attempt)


def _recipe(config: ModelConfig, url: str) -> RunConfig:
    """The model, with the least around it that a recipe must have."""
    return RunConfig(
        run=RunSection(url=url),
        model=config,
        data=DataConfig(shards=["shards"]),
        curriculum=[Stage(context_length=config.l_max, until_tokens=config.l_max)],
        optim=OptimConfig(global_batch_tokens=config.l_max),
    )


def _stored_l_max(tensors: Mapping[str, Tensor]) -> int | None:
    return next((tensor.shape[1] for key, tensor in tensors.items() if key.endswith("pos_emb.z")), None)
