"""Which run owns a URL: two runs never share one. (Two drivers of one run: `hdna.run.lease`.)"""

from typing import Any

from hdna import storage
from hdna.config import RunConfig, dump_recipe
from hdna.config.recipe import flatten, parse_recipe
from hdna.errors import InputError
from hdna.run.files import RECIPE
from hdna.run.lease import is_lease

_FREE_SECTIONS = (
    "run.url",
    "run.resume",
    "run.trackers",
    "run.project",
    "data.shards",
    "parallel.",
    "checkpoint.",
    "evaluate.",
)
_FREE_STAGE_KEYS = ("micro_batch_size", "sequence_parallel")
"""What may change when a run is resumed: where it is stored, who else is told of it, and how the work is distributed.
Shard sets are compared by their manifests' checksums, so that a moved set is still the same."""


def refuse_taken(config: RunConfig) -> list[str]:
    """Raise InputError when `run.url` contains another run, or unrelated files.

    Returns what this recipe changes of the run there, a line for each key: only with run.resume=force is that anything.
    """
    url = config.run.url
    recipe_url = storage.join(url, RECIPE)
    if storage.exists(recipe_url):
        return _changes(config, parse_recipe(storage.read(recipe_url).decode(errors="replace"), recipe_url))
    refuse_other_files(url)
    return []


def refuse_other_files(url: str) -> None:
    """Raise InputError when a place without a run contains anything."""
    if not all(storage.is_probe(name) or is_lease(name) for name in storage.list_objects(url)):
        raise InputError(f"{url}: contains files that are not an hdna run: choose another run.url")


def claim(config: RunConfig) -> None:
    """Write the recipe, which makes `run.url` this run's; called by the holder of its lease.

    Raises InputError when it is taken, even by a run that has just started.
    """
    recipe_url = storage.join(config.run.url, RECIPE)
    if not storage.write_if_absent(recipe_url, dump_recipe(config).encode()):
        refuse_taken(config)
        storage.write(recipe_url, dump_recipe(config).encode())


def _changes(config: RunConfig, existing: RunConfig) -> list[str]:
    """What this recipe changes of the run. Raises InputError, naming every key, for what it may not change."""
    url = config.run.url
    if config.run.resume == "never":
        raise InputError(f"{url}: already contains a run and run.resume is 'never': choose another run.url")
    ours, theirs = _identity(config), _identity(existing)
    changed = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    forced = config.run.resume == "force"
    refused = [key for key in changed if not forced or key.startswith("model.")]
    if refused:
        listed = "; ".join(f"its {key} is {theirs.get(key)}, this recipe's is {ours.get(key)}" for key in refused)
        is_model = any(key.startswith("model.") for key in refused)
        fix = "choose another run.url" + ("" if is_model else ", or continue it with run.resume=force")
        raise InputError(f"{url}: already contains another run: {listed}: {fix}")
    return [f"run.resume=force: {key} was {theirs.get(key)}, and is {ours.get(key)} from here on" for key in changed]


def _identity(config: RunConfig) -> dict[str, Any]:
    return {
        key: value
        for key, value in flatten(config).items()
        if not key.startswith(_FREE_SECTIONS) and not (key.startswith("curriculum.") and key.endswith(_FREE_STAGE_KEYS))
    }
