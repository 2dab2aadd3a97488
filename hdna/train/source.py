"""The weights that a new run begins from: another run's, a checkpoint's, or imported ones (`run.init_from`)."""

from typing import Any

from hdna.checkpoint import LoadedCheckpoint, list_checkpoints, load_run_or_checkpoint, read_state, weights_url
from hdna.config import RunConfig
from hdna.config.recipe import flatten, parse_recipe
from hdna.errors import InputError

_OF_TRAINING = "model.embed_dropout"
"""The one key of a model that is no part of its geometry."""


def refuse_other_model(config: RunConfig) -> None:
    """Raise InputError, naming every key, when `run.init_from` is not of this recipe's model.

    A run with checkpoints of its own goes on from these, wherever its source is by now.
    """
    if config.run.init_from is None or list_checkpoints(config.run.url):
        return
    url = weights_url(config.run.init_from)
    theirs = _geometry(parse_recipe(read_state(url).recipe, f"the recipe in {url}"))
    ours = _geometry(config)
    different = [key for key in sorted(ours) if ours[key] != theirs.get(key)]
    if different:
        listed = "; ".join(f"its {key} is {theirs.get(key)}, this recipe's is {ours[key]}" for key in different)
        raise InputError(f"run.init_from={config.run.init_from}: another model: {listed}")


def _geometry(config: RunConfig) -> dict[str, Any]:
    """The keys of the model that its weights depend on; a width left open as the number that it stands for."""
    keys = {key: value for key, value in flatten(config).items() if key.startswith("model.") and key != _OF_TRAINING}
    return keys | {"model.d_inner": config.model.mlp_width}


def load_source(config: RunConfig) -> LoadedCheckpoint | None:
    """The checkpoint that a new run begins from, if any."""
    return None if config.run.init_from is None else load_run_or_checkpoint(config.run.init_from)


def described(source: LoadedCheckpoint) -> str:
    """Where the weights are from, for the start block and environment.json."""
    return f"{source.url}, step {source.state.step:,}, {source.state.tokens:,} tokens, sha256 {source.checksum}"
