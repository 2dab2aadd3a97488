"""From a recipe file and `key=value` overrides to a checked RunConfig. The door to OmegaConf.

A recipe is data: no interpolation is resolved, so that loading one can neither run code nor copy an environment
variable (a secret, say) into the files of a run.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hdna.config.checks import check
from hdna.config.schema import RunConfig
from hdna.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent
_SHIPPED = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
"""Where the shipped recipes lie: in an installed wheel, or in a checkout."""


def list_recipes() -> dict[str, Path]:
    """The shipped recipes by name."""
    folder = next((place for place in _SHIPPED if place.is_dir()), _SHIPPED[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_path: str) -> Path:
    """The file of a shipped recipe's name or of a path.

    Raises InputError when there is neither, with the nearest shipped name.
    """
    shipped = list_recipes()
    path = Path(name_or_path)
    if name_or_path in shipped and not path.is_file():
        return shipped[name_or_path]
    if path.is_file():
        return path
    near = get_close_matches(name_or_path, shipped, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"shipped recipes: {', '.join(shipped)}"
    raise InputError(f"recipe {name_or_path!r}: no such recipe or file; {hint}")


def recipe_text(name_or_path: str) -> str:
    """The recipe as written, its manual included."""
    path = find_recipe(name_or_path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file: want a recipe in YAML") from None


def load_recipe(name_or_path: str, overrides: typing.Sequence[str] = ()) -> RunConfig:
    """Load a recipe, apply `key=value` overrides (which reach into lists: `curriculum.0.micro_batch_size=4`), check it.

    Raises InputError naming file, line and key for anything unknown, of the wrong type or out of range.
    """
    return parse_recipe(recipe_text(name_or_path), str(find_recipe(name_or_path)), overrides)


def parse_recipe(text: str, source: str, overrides: typing.Sequence[str] = ()) -> RunConfig:
    """The same from the recipe's text; `source` names it in errors."""
    places = _Places(source, text)
    raw = _read(text, source)
    for override in overrides:
        places.overridden(_apply(raw, override), override)
    try:
        plain = OmegaConf.to_container(raw, resolve=False)
    except OmegaConfBaseException as error:
        raise InputError(f"{source}: {error}") from None
    values = _shaped(plain, RunConfig, (), places)
    try:
        schema = OmegaConf.structured(RunConfig)
        OmegaConf.set_readonly(schema, False)
        config = OmegaConf.to_object(OmegaConf.merge(schema, values))
    except OmegaConfBaseException as error:
        raise _explained(error, places) from None
    assert isinstance(config, RunConfig)
    check(config, places.at)
    return config


def dump_recipe(config: RunConfig) -> str:
    """A RunConfig as the YAML text that loads to the same RunConfig."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def flatten(config: RunConfig) -> dict[str, Any]:
    """Every value of a recipe by its dotted key, as in `curriculum.0.context_length`."""

    def walk(value: Any, key: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a tree of plain values
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                yield from walk(item, f"{key}.{name}" if key else str(name))
        else:
            yield key, value

    return dict(walk(dataclasses.asdict(config), ""))


class _Places:
    """Where each key of a recipe was written: a line of the file, or an override."""

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.overrides: dict[tuple[str, ...], str] = {}
        self.lines: dict[tuple[str, ...], int] = {}
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise InputError(f"{source}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
        self.lines.update(_lines(root, ()))

    def overridden(self, key: tuple[str, ...], override: str) -> None:
        self.overrides[key] = override

    def at(self, *key: str) -> str:
        """`file:line: a.b.c`, or the override that set the key or something around it."""
        dotted = ".".join(key)
        for path, override in self.overrides.items():
            if path[: len(key)] == key:
                return f"override {override!r}: {dotted}"
        for length in range(len(key), 0, -1):
            if key[:length] in self.overrides:
                return f"override {self.overrides[key[:length]]!r}: {dotted}"
            if key[:length] in self.lines:
                return f"{self.source}:{self.lines[key[:length]]}: {dotted}"
        return f"{self.source}: {dotted}"


def _lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, str(index)), value.start_mark.line + 1
            yield from _lines(value, (*path, str(index)))


def _read(text: str, source: str) -> DictConfig:
    try:
        raw = OmegaConf.create(text)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{source}: {error}") from None
    if not isinstance(raw, DictConfig) or not raw:
        raise InputError(f"{source}: want a recipe: a YAML mapping with run, model, data and curriculum")
    return raw


def _apply(raw: DictConfig, override: str) -> tuple[str, ...]:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"override {override!r}: want key=value, as in optim.learning_rate=3e-4")
    key = key.strip()
    try:
        parsed: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]), resolve=False)
        OmegaConf.update(raw, key, parsed["value"], merge=False, force_add=True)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise InputError(f"override {override!r}: {str(error).splitlines()[0]}") from None
    return tuple(key.split("."))


def _shaped(value: Any, wanted: Any, path: tuple[str, ...], places: _Places) -> Any:  # noqa: ANN401 - a YAML tree
    """`value` with unknown keys and interpolations refused, and whole floats (2e6) made int where `wanted` is int."""
    if isinstance(value, str) and "${" in value:
        raise InputError(f"{places.at(*path)}: interpolation is not allowed in a recipe: write the value itself")
    if dataclasses.is_dataclass(wanted):
        return _shaped_section(value, wanted, path, places)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is list:
        if not isinstance(value, list):
            raise InputError(f"{places.at(*path)}: want a list, as in [first, second]; got {value!r}")
        return [_shaped(item, arguments[0], (*path, str(index)), places) for index, item in enumerate(value)]
    if wanted is int or (origin is types.UnionType and int in arguments):
        if isinstance(value, bool):
            raise InputError(f"{places.at(*path)}: want a whole number, got {value!r}")
        if isinstance(value, float) and value.is_integer():
            return int(value)
    return value


def _shaped_section(value: Any, wanted: Any, path: tuple[str, ...], places: _Places) -> dict[str, Any]:  # noqa: ANN401
    fields = typing.get_type_hints(wanted)
    if not isinstance(value, dict):
        raise InputError(f"{places.at(*path)}: want a mapping with the keys {', '.join(fields)}")
    for key in value:
        if key not in fields:
            near = get_close_matches(str(key), fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(fields)}"
            raise InputError(f"{places.at(*path, str(key))}: unknown key; {hint}")
    for known in dataclasses.fields(wanted):
        needed = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if needed and value.get(known.name) is None:
            raise InputError(f"{places.at(*path, known.name)}: missing: the recipe must give it")
    return {key: _shaped(item, fields[key], (*path, key), places) for key, item in value.items()}


def _explained(error: OmegaConfBaseException, places: _Places) -> InputError:
    key = str(getattr(error, "full_key", "") or "").replace("[", ".").replace("]", "").strip(".")
    message = str(getattr(error, "msg", "") or error).splitlines()[0]
    return InputError(f"{places.at(*key.split('.'))}: {message}" if key else f"{places.source}: {message}")
