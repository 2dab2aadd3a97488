"""The weights that a new run begins from: another run's, a checkpoint's, or imported ones (`run.init_from`)."""

from dataclasses import replace
from typing import Any

from hdna import storage
from hdna.checkpoint import LoadedCheckpoint, list_checkpoints, load_run_or_checkpoint, read_state, weights_url
from hdna.config import RunConfig
from hdna.config.recipe import flatten, parse_recipe
from hdna.errors import InputError
from hdna.run.files import RECIPE

SOURCE_BITS, SOURCE_CONTEXT = "source", "source_context_length"
"""Their bits per base on the run's own valid split, before they change, and the context: entries of baselines.json."""
_OF_TRAINING = "model.embed_dropout"
"""The one key of a model that is no part of its geometry."""


def with_extension(config: RunConfig) -> RunConfig:
    """The recipe with `model.extended_from` filled in, where a longer context extends the weights of `run.init_from`.

    A run that exists already has it in its own recipe. Raises InputError when there is no such source.
    """
    if config.run.init_from is None or config.model.extended_from:
        return config
    own = storage.join(config.run.url, RECIPE)
    if storage.exists(own):
        before = parse_recipe(storage.read(own).decode(errors="replace"), own).model.extended_from
    else:
        before = _extended_from(config, _recipe_of(config.run.init_from))
    return replace(config, model=replace(config.model, extended_from=before))


def _extended_from(config: RunConfig, source: RunConfig) -> list[int]:
    """What a model of this recipe, with the source's weights, was extended from."""
    before = source.model.extended_from
    return [*before, source.model.l_max] if source.model.l_max < config.model.l_max else before


def refuse_other_model(config: RunConfig) -> None:
    """Raise InputError, naming every key, when `run.init_from` is not of this recipe's model, or of its beginning.

    A run with checkpoints of its own goes on from these, wherever its source is by now.
    """
    if config.run.init_from is None:
        return
    if storage.join(config.run.init_from, "").startswith(storage.join(config.run.url, "")):
        raise InputError(f"run.init_from={config.run.init_from}: is in run.url: give the new run a URL of its own")
    if list_checkpoints(config.run.url):
        return
    source = _recipe_of(config.run.init_from)
    wanted = replace(source, model=replace(source.model, extended_from=_extended_from(config, source)))
    ours, theirs = _geometry(config), _geometry(wanted)
    if config.model.l_max > source.model.l_max:
        del ours["model.l_max"], theirs["model.l_max"]
    if not source.model.extended_from:  # its filter has positions of one kind only
        del ours["model.filter_positions"], theirs["model.filter_positions"]
    different = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    if different:
        listed = "; ".join(f"its {key} is {theirs.get(key)}, this recipe's is {ours.get(key)}" for key in different)
        raise InputError(f"run.init_from={config.run.init_from}: another model: {listed}")


def _recipe_of(source: str) -> RunConfig:
    url = weights_url(source)
    return parse_recipe(read_state(url).recipe, f"the recipe in {url}")


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
