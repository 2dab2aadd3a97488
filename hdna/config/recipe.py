"""From a recipe file and `key=value` overrides to a checked RunConfig. The door to OmegaConf.

A recipe is data: no interpolation is resolved, so that loading one can neither run code nor copy an environment
variable (a secret, say) into a run's files.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hdna.config.checks import check
from hdna.config.schema import RunConfig
from hdna.config.shape import shaped
from hdna.config.source import MAX_CHARACTERS, apply_override, read_recipe
from hdna.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent
_SHIPPED = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
"""Where the shipped recipes are: in an installed wheel, or in a checkout."""


def list_recipes() -> dict[str, Path]:
    """The shipped recipes by name."""
    folder = next((path for path in _SHIPPED if path.is_dir()), _SHIPPED[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_path: str) -> Path:
    """The file of a recipe, given by shipped name or by path.

    Raises InputError with the nearest shipped name when there is neither.
    """
    shipped = list_recipes()
    path = Path(name_or_path)
    if _is_file(path):
        return path
    if name_or_path in shipped:
        return shipped[name_or_path]
    near = get_close_matches(name_or_path, shipped, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"shipped recipes: {', '.join(shipped)}"
    raise InputError(f"recipe {name_or_path!r}: no such recipe or file; {hint}")


def recipe_text(name_or_path: str) -> str:
    """The recipe as written, with its manual. Raises InputError when the file is not text or cannot be read."""
    path = find_recipe(name_or_path)
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file: want a recipe in YAML") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Load a recipe, apply `key=value` overrides (numbers index lists: `curriculum.0.micro_batch_size=4`), check it.

    Raises InputError naming file, line and key for anything unknown, of the wrong type or out of range.
    """
    return parse_recipe(recipe_text(name_or_path), str(find_recipe(name_or_path)), overrides)


def parse_recipe(text: str, source: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Load a recipe from its text; `source` names it in errors."""
    tree, origins = read_recipe(text, source)
    for override in overrides:
        origins.overridden(apply_override(tree, override), override)
    values = shaped(tree, RunConfig, (), origins)
    schema = OmegaConf.structured(RunConfig)
    OmegaConf.set_readonly(schema, False)
    try:
        config = OmegaConf.to_object(OmegaConf.merge(schema, values))
    except OmegaConfBaseException as error:
        raise InputError(f"{source}: {error}") from None
    assert isinstance(config, RunConfig)
    check(config, origins.at)
    return config


def dump_recipe(config: RunConfig) -> str:
    """A RunConfig as YAML text that loads back to the same RunConfig."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def flatten(config: RunConfig) -> dict[str, Any]:
    """Every value of a recipe by dotted key, such as `curriculum.0.context_length`."""

    def walk(value: Any, key: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a tree of plain values
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                yield from walk(item, f"{key}.{name}" if key else str(name))
        else:
            yield key, value

    return dict(walk(dataclasses.asdict(config), ""))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name too long for this file system
        return False
