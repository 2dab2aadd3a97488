"""Help as it should look: every command at 80 columns, its examples on lines of their own, and they parse."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from support.command_line import hdna
from typer.core import TyperGroup

from hdna.cli import app

COLUMNS = 80
LEFT_FREE = 2
"""Columns of a terminal that click does not use."""


def every_command(name: str = "hdna", command: Any = None, parent: Any = None) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Full name, command and context of each command and group; the context of a terminal of 80 columns."""
    command = command or typer.main.get_command(app)
    width = COLUMNS - LEFT_FREE
    context = command.context_class(
        command, parent=parent, info_name=name.split()[-1], terminal_width=width, **command.context_settings
    )
    yield name, command, context
    for child, found in getattr(command, "commands", {}).items():
        yield from every_command(f"{name} {child}", found, context)


COMMANDS = {name: (command, context) for name, command, context in every_command()}
LEAVES = [name for name, (command, _) in COMMANDS.items() if not isinstance(command, TyperGroup)]
ROOT = next(iter(COMMANDS.values()))[0]


def examples(name: str) -> list[str]:
    """The lines of a command's help below `Example:`."""
    command, context = COMMANDS[name]
    block = re.search(r"^  Example:\n((?:    .*\n)+)", command.get_help(context) + "\n", re.MULTILINE)
    assert block, f"{name}: no example"
    return [line.strip() for line in block[1].splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_prints_no_mark_of_its_source(name: str) -> None:
    command, context = COMMANDS[name]
    text = command.get_help(context)
    assert "\b" not in text and r"\b" not in text
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []
    assert "-h, --help" in text


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in LEAVES])
def test_no_summary_in_a_list_of_commands_is_cut_short(name: str) -> None:
    command, context = COMMANDS[name]
    listed = command.get_help(context).partition("Commands:\n")[2].splitlines()
    assert len(listed) == len(command.commands)
    assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize("name", LEAVES)
def test_each_example_stands_on_its_own_line_and_parses(name: str) -> None:
    for line in examples(name):
        words = shlex.split(line.partition("-- ")[2] if line.startswith("ray job submit") else line)
        words = words[: words.index(">")] if ">" in words else words
        assert " ".join(words).startswith(name), line
        command, rest = ROOT, words[1:]
        while isinstance(command, TyperGroup):
            command = command.commands[rest.pop(0)]
        command.make_context(name, list(rest))


def test_short_help_is_the_long_one() -> None:
    short, long = (hdna("plan", flag) for flag in ("-h", "--help"))
    assert short == long
    assert "this is how to validate a recipe" in " ".join(short.split())


def test_shells_complete_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"_HDNA_COMPLETE": "complete_bash", "COMP_WORDS": "hdna ch", "COMP_CWORD": "1"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert hdna().split() == ["checkpoints"]
