"""A JSON Schema (draft 7) of recipes: editors complete and check recipe files with it.

    python -m hdna.config.json_schema > recipes/recipe.schema.json

Keys, types, defaults and descriptions are those of `hdna.config.schema`, ranges those of `hdna.config.checks`. A
schema looks at one value at a time, so `load_recipe` has the last word on numbers that depend on each other.
"""

import ast
import dataclasses
import inspect
import itertools
import json
import sys
import types
import typing
from typing import Any

from hdna.config import schema
from hdna.config.checks import RANGES
from hdna.config.schema import RunConfig
from hdna.config.shape import takes_text

FILE_NAME = "recipe.schema.json"
"""Beside the shipped recipes, and beside a copy of one."""

_ANY = (float("-inf"), float("inf"))
_SPELLED = r"([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?"
_NOT_ZERO = r"(?=[0_.]*[1-9])"


def recipe_schema() -> dict[str, Any]:
    """The schema as plain values."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "hdna recipe", **_section(RunConfig)}


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"


def sentences(section: type) -> dict[str, str]:
    """The text under each field of a dataclass, on one line."""
    (definition,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in itertools.pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return found


def _section(section: type) -> dict[str, Any]:
    """The schema of a section: its keys and no others."""
    assert dataclasses.is_dataclass(section)
    hints, about = typing.get_type_hints(section), sentences(section)
    keys, required = {}, []
    for field in dataclasses.fields(section):
        key = _value(hints[field.name], RANGES.get(section, {}).get(field.name, _ANY))
        if schema.LOWEST in field.metadata:
            key = _or_range(key)
        if field.name in about:
            key = {"description": about[field.name], **key}
        default = field.default_factory() if callable(field.default_factory) else field.default
        if default is dataclasses.MISSING:
            required.append(field.name)
            key |= {"minItems": 1} if "items" in key else {}
        elif not dataclasses.is_dataclass(default):
            key["default"] = default
        keys[field.name] = key
    summary = " ".join((section.__doc__ or "").split())
    return {
        "description": summary,
        "type": "object",
        "properties": keys,
        "required": required,
        "additionalProperties": False,
    }


def _value(hint: Any, limits: tuple[float, float]) -> dict[str, Any]:  # noqa: ANN401 - a type
    """The schema of a value of type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _section(typing.cast(type, hint))
    if origin is list:
        items = _value(arguments[0], limits)
        if not takes_text(arguments[0]):
            return {"type": "array", "items": items}
        return {"type": ["array", "string"], "minLength": 1, "items": items}  # a text alone is a list of one
    if origin is typing.Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is types.UnionType:
        value = _value(arguments[0], limits)
        kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
        return value | {"type": [*kinds, "null"]}
    if hint in (int, float):
        return _number("integer" if hint is int else "number", *limits)
    return {"type": "boolean"} if hint is bool else {"type": "string", "minLength": 1}


def _number(kind: str, low: float, high: float) -> dict[str, Any]:
    """A number in a range, or its spelling: `2_000_000` is text to YAML 1.2, and `2e6` to YAML 1.1.

    Of a spelling, form and sign are checked, and that it is not zero where the range begins above zero.
    """
    bounds = {"minimum": low, "maximum": high}
    finite = {name: bound for name, bound in bounds.items() if bound not in _ANY}
    pattern = f"^{'[-+]?' if low < 0 else '[+]?'}{_NOT_ZERO if low > 0 else ''}{_SPELLED}$"
    message = f"want {'a whole number' if kind == 'integer' else 'a number'} in this key's range"
    return {"type": [kind, "string"], **finite, "pattern": pattern, "patternErrorMessage": message}


def _or_range(number: dict[str, Any]) -> dict[str, Any]:
    """The schema of a number that may be written as a range."""
    ends = {end: {"description": f"The {end}imum.", **number} for end in ("min", "max")}
    kinds = [*number["type"], "object"]
    return {**number, "type": kinds, "properties": ends, "required": [*ends], "additionalProperties": False}


if __name__ == "__main__":
    sys.stdout.write(schema_text())
