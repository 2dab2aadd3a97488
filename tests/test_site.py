"""The documentation site: every page has a place, every link leads to its file, references are those of the code."""

import importlib
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from hdna.cli import app
from hdna.config import list_recipes

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LINKS = runpy.run_path(str(DOCS / "hooks" / "links.py"))
CLI_REFERENCE = runpy.run_path(str(DOCS / "hooks" / "cli_reference.py"))
PUBLISHED = {path.relative_to(ROOT).as_posix() for pattern in LINKS["PUBLISHED"] for path in ROOT.glob(pattern)}
API = re.findall(r"^::: ([\w.]+)\.(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
ROOMS_OF_THE_API = ("hdna.config", "hdna.model", "hdna.interop", "hdna.genome", "hdna.parallel")


def leaves(nav: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of YAML
    """The pages of a navigation tree."""
    if isinstance(nav, str):
        yield nav
        return
    for item in nav.values() if isinstance(nav, dict) else nav:
        yield from leaves(item)


def command_paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - click's
    """Every command that is not a group, as typed."""
    if not hasattr(command, "commands"):
        yield path
        return
    for name, child in command.commands.items():
        yield from command_paths(child, (*path, name))


COMMANDS = list(command_paths(typer.main.get_command(app)))


def test_every_page_has_one_place_in_the_navigation() -> None:
    nav = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(nav) == sorted(pages | {name for name in PUBLISHED if name.endswith(".md")})


@pytest.mark.parametrize(
    "path",
    [*DOCS.glob("*.md"), *(ROOT / name for name in sorted(PUBLISHED) if name.endswith(".md"))],
    ids=lambda path: path.name,
)
def test_links_lead_to_the_same_file_in_the_site(path: Path) -> None:
    """What a page links to is in docs/ or published beside it, and its link there is relative to the page."""
    base = DOCS if path.is_relative_to(DOCS) else ROOT
    uri = path.relative_to(base).as_posix()
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(path), src_uri=uri))
    text = path.read_text(encoding="utf-8")
    rewritten = LINKS["on_page_markdown"](text, page, SimpleNamespace(docs_dir=str(DOCS)), None)
    there = LINKS["TARGET"].findall(rewritten)
    for here, link in zip(LINKS["TARGET"].findall(text), there, strict=True):
        target = (path.parent / here).resolve()
        in_site = (Path("/site") / uri).parent.joinpath(link).resolve().relative_to("/site").as_posix()
        known = target.relative_to(DOCS if target.is_relative_to(DOCS) else ROOT).as_posix()
        assert in_site == known and target.is_file(), here
        assert target.is_relative_to(DOCS) or known in PUBLISHED, f"{here}: add it to docs/hooks/links.py"


def test_the_command_reference_has_every_command_with_all_its_options() -> None:
    sections = dict(re.findall(r"^## hdna ([\w ]+)\n(.*?)(?=^## |\Z)", CLI_REFERENCE["reference"](), re.M | re.S))
    assert sorted(sections) == sorted(" ".join(path) for path in COMMANDS)
    for path in COMMANDS:
        command: Any = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        names = re.findall(r"^\| `([^`]+)` \|", sections[" ".join(path)], re.M)
        assert options <= set(re.findall(r"(?<![\w-])--[\w-]+", " ".join(names))) | {"--help"}
        assert f"\nhdna {' '.join(path)}" in sections[" ".join(path)]


def test_the_page_of_commands_asks_for_the_reference() -> None:
    assert CLI_REFERENCE["MARK"] in (DOCS / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_examples_on_lines_of_their_own(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"]).output
    assert "\\b" not in shown
    assert re.search(rf"^  Example:\n    hdna {' '.join(path)}", shown, re.M), shown


@pytest.mark.parametrize(("module", "name"), API)
def test_what_the_python_reference_names_can_be_imported_and_is_described(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    assert getattr(found, "__doc__", None)


@pytest.mark.parametrize("module", ROOMS_OF_THE_API)
def test_the_python_reference_has_all_public_names_of_a_room(module: str) -> None:
    public = importlib.import_module(module).__all__
    assert {name for room, name in API if room == module} == set(public)


def test_the_recipe_page_links_to_every_shipped_recipe() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert {Path(link).stem for link in re.findall(r"\(\.\./recipes/(\w+\.yaml)\)", text)} == set(list_recipes())
