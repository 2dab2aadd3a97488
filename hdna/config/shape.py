"""Checks plain values against the schema; unknown keys, missing keys and wrong types are refused with their line."""

import dataclasses
import types
import typing
from difflib import get_close_matches
from typing import Any

from hdna.config.schema import LOWEST
from hdna.config.source import Origins, Path, shown
from hdna.errors import InputError

_MISSING = "???"
_MAX_INT = 2**63 - 1
_MAX_FLOAT = 2**63
"""What an integer at the limit is rounded to: written again, it is accepted again."""


def shaped(value: Any, wanted: Any, path: Path, origins: Origins) -> Any:  # noqa: ANN401 - a tree of plain values
    """`value` converted to `wanted`; integral floats (2e6) become int where `wanted` is int.

    A text where a list of texts is wanted is a list of one: zsh takes the brackets of `data.shards=[x]` for its own.
    Raises InputError naming file, line and key.
    """
    if dataclasses.is_dataclass(wanted):
        return _section(value, wanted, path, origins)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is list:
        if isinstance(value, str) and takes_text(arguments[0]):
            value = [value]
        if not isinstance(value, list):
            raise InputError(f"{origins.at(*path)}: want a list, as in [first, second]; got {shown(value)}")
        return [shaped(item, arguments[0], (*path, str(index)), origins) for index, item in enumerate(value)]
    if origin is typing.Literal:
        if value not in arguments:
            raise InputError(f"{origins.at(*path)}: {shown(value)}: want one of {', '.join(map(str, arguments))}")
        return value
    if origin is types.UnionType:
        if value is None:
            return None
        wanted = arguments[0]
    return _leaf(value, wanted, origins.at(*path))


def takes_text(wanted: Any) -> bool:  # noqa: ANN401 - a type
    """Whether a value of this type is a text."""
    return wanted is str or typing.get_origin(wanted) is typing.Literal


def _section(value: Any, wanted: Any, path: Path, origins: Origins) -> dict[str, Any]:  # noqa: ANN401
    types_of = typing.get_type_hints(wanted)
    if not isinstance(value, dict):
        raise InputError(f"{origins.at(*path)}: want a mapping with the keys {', '.join(types_of)}; got {shown(value)}")
    value = _ranges_split(value, wanted, path, origins)
    for key in value:
        if key not in types_of:
            near = get_close_matches(key, types_of, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(types_of)}"
            raise InputError(f"{origins.at(*path, key)}: unknown key; {hint}")
    for known in dataclasses.fields(wanted):
        needed = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if needed and value.get(known.name) in (None, _MISSING):
            raise InputError(f"{origins.at(*path, known.name)}: missing: add it to the recipe")
    return {key: shaped(item, types_of[key], (*path, key), origins) for key, item in value.items()}


def _ranges_split(section: dict[str, Any], wanted: Any, path: Path, origins: Origins) -> dict[str, Any]:  # noqa: ANN401
    """`workers: {min: 2, max: 8}` as the two keys that it stands for."""
    for known in dataclasses.fields(wanted):
        lowest, given = known.metadata.get(LOWEST), section.get(known.name)
        if lowest is None or not isinstance(given, dict):
            continue
        if given.keys() != {"min", "max"} or section.get(lowest) is not None:
            at = origins.at(*path, known.name)
            raise InputError(f"{at}: want a number, or {{min: 2, max: 8}} and no {lowest}; got {shown(given)}")
        section = {**section, known.name: given["max"], lowest: given["min"]}
    return section


def _leaf(value: Any, wanted: type, at: str) -> Any:  # noqa: ANN401
    if wanted is bool:
        return _want(value, isinstance(value, bool), at, "true or false")
    if wanted is str:
        return _want(value, isinstance(value, str) and value not in ("", _MISSING), at, "text, quoted if necessary")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is float:
        finite = number and abs(value) <= _MAX_FLOAT
        return float(_want(value, finite, at, "a finite number"))
    integral = number and (isinstance(value, int) or value.is_integer()) and abs(value) <= _MAX_INT
    return int(_want(value, integral, at, "a whole number below 2^63"))


def _want(value: Any, fits: bool, at: str, what: str) -> Any:  # noqa: ANN401
    if not fits:
        raise InputError(f"{at}: want {what}; got {shown(value)}")
    return value
