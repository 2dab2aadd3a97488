"""Recipe text as plain values, and where each was written. Stricter than YAML: anything surprising is refused.

No aliases (ten lines of them can exhaust memory), no tags, no duplicate keys, no interpolation. Plain numbers follow
YAML 1.2: `2e6` and `2_000_000` are numbers, `010` is ten, `1:30` and `2026-11-22` are text.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from hdna.errors import InputError, without_secrets

MAX_CHARACTERS = 1 << 18
"""A recipe is a page long; a FASTA file given by mistake is not read to its end."""
_MAX_DEPTH = 8
_MAX_VALUE_CHARACTERS = 2048
_SHOWN = 80
_INDEX = re.compile(r"\[([0-9]+)\]")
_NO_INTERPOLATION = "interpolation (${...}) is not allowed in a recipe: write the value itself"

_DIGITS = "[0-9](?:_?[0-9])*"
"""As in Python: OmegaConf, which writes a run's recipe, quotes a text only if Python would take it for a number."""

Path = tuple[str, ...]
"""A key from the root: ("curriculum", "0", "context_length")."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's interface


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9](?:_?[0-9])*)", list("-+0123456789")),
    (
        "float",
        rf"[-+]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


class Origins:
    """Where each key of a recipe was written: a line of the file, or an override."""

    def __init__(self, source: str, lines: dict[Path, int]) -> None:
        self._source = source
        self._lines = lines
        self._overrides: dict[Path, str] = {}

    def overridden(self, key: Path, override: str) -> None:
        """Record that an override set `key`."""
        self._overrides[key] = shown(override)

    def at(self, *key: str) -> str:
        """`file:line: a.b.c`, or the override that set the key or an enclosing one."""
        dotted = ".".join(key)
        within = [path for path in self._overrides if path[: len(key)] == key]
        around = [key[:length] for length in range(len(key), 0, -1)]
        for path in (*within, *around):
            if path in self._overrides:
                return f"override {self._overrides[path]}: {dotted}"
        for path in around:
            if path in self._lines:
                return f"{self._source}:{self._lines[path]}: {dotted}"
        return f"{self._source}: {dotted}"


def shown(value: object) -> str:
    """A value for an error message: quoted, and truncated if long."""
    text = without_secrets(repr(value))  # before it is cut: a password without its @ would not be known as one
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def read_recipe(text: str, source: str) -> tuple[dict[str, Any], Origins]:
    """Parse a recipe's text. Raises InputError naming `source` and the line for anything that is not a recipe."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{source}: longer than {MAX_CHARACTERS:,} characters: want a recipe in YAML")
    tree, lines = _plain(text, lambda line: f"{source}:{line}")
    if not isinstance(tree, dict) or not tree:
        raise InputError(f"{source}: want a recipe: a YAML mapping with run, model, data and curriculum")
    return tree, Origins(source, lines)


def apply_override(tree: dict[str, Any], override: str) -> Path:
    """Set `key=value` in the tree, where numbers index lists; return the key."""
    where = f"override {shown(override)}"
    key, equals, value = override.partition("=")
    path = tuple(part.strip() for part in _INDEX.sub(r".\1", key).split("."))
    if not equals or not all(path):
        raise InputError(f"{where}: want key=value, as in optim.learning_rate=3e-4")
    if "${" in override:
        raise InputError(f"{where}: {_NO_INTERPOLATION}")
    node: Any = tree
    for number, part in enumerate(path):
        if not isinstance(node, dict | list):
            raise InputError(f"{where}: {'.'.join(path[:number])} is a single value: nothing can be set inside it")
        index: Any = _index(node, part, f"{where}: {'.'.join(path[:number])}") if isinstance(node, list) else part
        if number == len(path) - 1:
            node[index] = _plain(value, lambda line: where)[0]
        else:
            node = node.setdefault(index, {}) if isinstance(node, dict) else node[index]
    return path


def _index(entries: list[Any], part: str, where: str) -> int:
    if not (part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(entries)):
        raise InputError(f"{where} has no entry {shown(part)}: it has {len(entries)}, counted from 0")
    return int(part)


def _plain(text: str, where: Callable[[int], str]) -> tuple[Any, dict[Path, int]]:
    """The values of YAML text, and the line of each; `where(line)` names a line in errors."""
    loader = None
    try:
        _refuse_events(text, where)
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        return (None if node is None else _built(loader, node, (), lines, where)), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        line = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise InputError(f"{where(line)}: not valid YAML: {problem}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse_events(text: str, where: Callable[[int], str]) -> None:
    """Refuse what must not even be built: endless nesting or values, aliases, tags."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark = event.start_mark
        here = where(mark.line + 1 if mark else 1)
        if isinstance(event, yaml.CollectionStartEvent | yaml.CollectionEndEvent):
            depth += 1 if isinstance(event, yaml.CollectionStartEvent) else -1
            if depth > _MAX_DEPTH:
                raise InputError(f"{here}: nested too deeply for a recipe")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _MAX_VALUE_CHARACTERS:
            size = f"{len(event.value):,} characters"
            raise InputError(f"{here}: a value of {size}: want at most {_MAX_VALUE_CHARACTERS:,}")
        if getattr(event, "anchor", None) is not None:
            raise InputError(f"{here}: anchors and aliases (&, *) are not allowed in a recipe: write the value itself")
        if getattr(event, "tag", None) is not None:
            raise InputError(f"{here}: tags (!) are not allowed in a recipe: write the plain value")


def _built(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int], where: Callable[[int], str]) -> Any:  # noqa: ANN401 - a tree of plain values
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*path, str(index)] = item.start_mark.line + 1
        return [_built(loader, item, (*path, str(i)), lines, where) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        tree: dict[str, Any] = {}
        for key, item in node.value:
            name, line = _scalar(key, where), key.start_mark.line + 1
            if name in tree:
                first = lines[*path, name]
                raise InputError(f"{where(line)}: key {shown(name)} is given twice, first on line {first}: remove one")
            lines[*path, name] = line
            tree[name] = _built(loader, item, (*path, name), lines, where)
        return tree
    _scalar(node, where)
    return loader.construct_object(node)


def _scalar(node: yaml.Node, where: Callable[[int], str]) -> str:
    """The text of a scalar; a non-scalar, interpolation or half a character is refused."""
    here = where(node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(f"{here}: a list or mapping as a key: want a name")
    text = str(node.value)
    if "${" in text:
        raise InputError(f"{here}: {shown(text)}: {_NO_INTERPOLATION}")
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # YAML's "\ud800": no file can hold it
        raise InputError(f"{here}: {shown(text)}: holds half of a character: write the character itself")
    return text
