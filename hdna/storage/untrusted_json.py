"""JSON from outside: the one place that parses it, with types and limits.

A type is a dataclass whose fields carry their ranges (`Annotated[int, Meta(ge=0)]`). Whatever differs is refused with
the path of the field, as are nesting deep enough to exhaust the stack and numbers beyond a float's range.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from hdna.errors import InputError

__all__ = ["Meta", "Count", "Sha256", "parse_json", "convert_json", "schema_of"]

T = TypeVar("T")

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""A number of bytes, bases or windows."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


def parse_json(data: bytes, kind: type[T], url: str, advice: str) -> T:
    """`data`, the content of `url`, as a `kind`. Raises InputError that ends with `advice`: what to do about it."""
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise InputError(f"{url}: not valid JSON (nested too deeply): {advice}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{url}: {_in_words(error)}: {advice}") from None


def convert_json(value: Any, kind: type[T], url: str, advice: str) -> T:  # noqa: ANN401 - whatever JSON held
    """A parsed `value` from `url` as a `kind`. Raises InputError that ends with `advice`."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{url}: {_in_words(error)}: {advice}") from None


def schema_of(kind: type) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the documents that are a `kind`: a `$ref` to one of its `$defs`, by class."""
    return msgspec.json.schema(kind)


def _in_words(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"not as its format says ({error})"
    return f"not valid JSON ({error})"
