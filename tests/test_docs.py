"""What the documents say is true of the code: links, commands, recipe keys, paths."""

import dataclasses
import re
import shlex
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

import hdna
from hdna.cli import app
from hdna.config import RunConfig, list_recipes

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
COMMAND = re.compile(r"^[\s$#]*(?:ray job submit .*-- )?hdna ([a-z].*?)(?:\s+#.*)?$")
SECTIONS = [field.name for field in dataclasses.fields(RunConfig)]
KEY = re.compile(rf"`((?:{'|'.join(SECTIONS)})\.[a-zN0-9_.]+)(?:=[^`]*)?`")
NO_KEY = "model.safetensors"
"""A file's name that looks like a key."""
REPO_PATH = re.compile(r"`((?:hdna|data_prep|cluster|recipes|tests|docs)/[\w./-]+\.(?:py|md|yaml))`")

document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def commands(path: Path) -> Iterator[list[str]]:
    """Arguments of every `hdna …` line in a code block or a recipe's manual, also behind `ray job submit … --`."""
    text = path.read_text(encoding="utf-8")
    blocks = FENCE.findall(text) + INDENTED.findall(FENCE.sub("", text))
    if path.suffix == ".yaml":
        blocks = re.findall(r"^#   .*", text, re.MULTILINE)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        if match := COMMAND.match(line):
            yield shlex.split(match[1])


def schema_keys() -> dict[str, dataclasses.Field[object]]:
    """Every key of a recipe, `curriculum.N.context_length` for those of a stage, with its field."""
    keys: dict[str, dataclasses.Field[object]] = {}
    for name, hint in typing.get_type_hints(RunConfig).items():
        of_stages = typing.get_origin(hint) is list
        section, prefix = (typing.get_args(hint)[0], f"{name}.N") if of_stages else (hint, name)
        keys |= {f"{prefix}.{field.name}": field for field in dataclasses.fields(section)}
    return keys


@document
def test_relative_links_point_to_files(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target}"


@pytest.mark.parametrize("path", [*DOCUMENTS, *list_recipes().values()], ids=lambda path: path.name)
def test_commands_shown_are_commands_that_parse(path: Path) -> None:
    for arguments in commands(path):
        command = typer.main.get_command(app)
        rest = list(arguments)
        while isinstance(command, TyperGroup):
            assert rest and rest[0] in command.commands, f"{path.name}: hdna {' '.join(arguments)}"
            command = command.commands[rest.pop(0)]
        try:
            command.make_context("hdna", rest)
        except typer.Exit:
            continue  # --help
        except Exception as error:
            pytest.fail(f"{path.name}: hdna {' '.join(arguments)}: {error}")


def test_the_documents_do_show_commands() -> None:
    shown = {arguments[0] for path in DOCUMENTS for arguments in commands(path)}
    assert {"prep", "train", "recipes", "report", "checkpoints", "doctor", "plan"} <= shown


@document
def test_recipe_keys_named_in_the_text_exist(path: Path) -> None:
    for key in KEY.findall(path.read_text(encoding="utf-8")):
        generic = re.sub(r"^curriculum\.\d+", "curriculum.N", key)
        assert generic in schema_keys() or key == NO_KEY or re.fullmatch(r"data\.shards\.\d+", key), (
            f"{path.name}: {key}"
        )


def test_every_key_of_the_schema_has_its_row_and_default_in_recipes_md() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-zN_.]+)` \| (.*?) \|", text, re.MULTILINE))
    assert rows.keys() == schema_keys().keys()
    for key, field in schema_keys().items():
        default = field.default_factory() if callable(field.default_factory) else field.default
        if default is dataclasses.MISSING:
            assert rows[key] == "must be given"
        elif isinstance(default, float | int) and not isinstance(default, bool):
            assert float(rows[key]) == default, key
        else:
            assert yaml.safe_load(rows[key]) == default, key


@document
def test_paths_of_the_repository_exist(path: Path) -> None:
    missing = [name for name in REPO_PATH.findall(path.read_text(encoding="utf-8")) if not (ROOT / name).exists()]
    assert not missing, f"{path.name}: {missing}"


def test_design_md_draws_the_floors_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms, packages = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    between = "hdna_prep | hdna_cluster"
    above = packages.index(between)
    floors = [*rooms[:above], between, *rooms[above:]]
    as_packages = [" | ".join(f"hdna.{room}" for room in floor.split(" | ")) for floor in rooms[: above + 1]]
    assert packages == [*as_packages[:above], between, as_packages[above]]
    section = (ROOT / "docs" / "design.md").read_text().partition("## The floors")[2]
    drawing = INDENTED.search(section)
    assert drawing is not None
    assert drawing[0].split("\n")[:-1] == [f"    {floor}" for floor in floors]


def test_where_a_change_goes_names_every_module_and_no_other() -> None:
    section = (ROOT / "docs" / "design.md").read_text().partition("## Where a change goes")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w/]+\.py)`", section))
    packages = ("hdna", "data_prep/hdna_prep", "cluster/hdna_cluster")
    modules = {path.relative_to(ROOT).as_posix() for package in packages for path in (ROOT / package).rglob("*.py")}
    assert named == {module for module in modules if not module.endswith("__init__.py")}


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hdna.__version__
    assert f'version = "{hdna.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"## [{hdna.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def messages() -> list[str]:
    """Those in the first column of the tables of docs/operations.md."""
    rows = re.findall(r"^\| (`[^|]*`[^|]*) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    found = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    return [message for message in found if " " in message]  # the others are words of state.json


@pytest.mark.parametrize("message", messages())
def test_messages_that_operators_look_up_are_those_of_the_code(message: str) -> None:
    """Three words in a row, or all of two, whatever numbers and names stand between them."""
    sources = [path.read_text() for package in ("hdna", "cluster") for path in (ROOT / package).rglob("*.py")]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    words = message.split()
    count = min(3, len(words))
    assert any(" ".join(words[first : first + count]) in code for first in range(len(words) - count + 1))
