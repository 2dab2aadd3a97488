"""What recipes differ in: runs from one another, and a run from the shipped recipe that is nearest to it."""

import json
from collections.abc import Sequence
from typing import Any

from hdna.config import RunConfig, list_recipes
from hdna.config.recipe import flatten, parse_recipe
from hdna.report.numbers import NONE

_EACH_ITS_OWN = ("run.url",)
"""Keys in which any two runs differ."""
_OF_THE_PLACE = ("data.shards", "data.weights")
"""Those in which a run always differs from a shipped recipe."""


def differences(configs: Sequence[RunConfig | None]) -> list[tuple[str, ...]]:
    """Keys that are not the same in all recipes, with each one's value."""
    recipes = [flatten(config) if config else {} for config in configs]
    keys = sorted({key for recipe in recipes for key in recipe if key not in _EACH_ITS_OWN})
    rows = [(key, *(_as_yaml(recipe.get(key, NONE)) for recipe in recipes)) for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def nearest_shipped(config: RunConfig) -> tuple[str, list[tuple[str, ...]]]:
    """The name of the shipped recipe with the fewest other values, and the rows of those: key, ours, its.

    Which shard sets are read, and from where, does not count.
    """
    found: list[tuple[int, str, list[tuple[str, ...]]]] = []
    for name, path in list_recipes().items():
        shipped = parse_recipe(path.read_text(encoding="utf-8"), str(path))
        rows = [row for row in differences([config, shipped]) if not row[0].startswith(_OF_THE_PLACE)]
        found.append((len(rows), name, rows))
    _, name, rows = min(found)
    return name, rows


def _as_yaml(value: Any) -> str:  # noqa: ANN401 - a plain value of a recipe
    return value if isinstance(value, str) else json.dumps(value)
