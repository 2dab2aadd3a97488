"""The site's command reference, generated from the typer app: what `--help` says, command by command."""

import inspect
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from hdna.cli import app

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

MARK = "<!-- commands -->"
"""Where docs/cli.md wants the reference."""


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Insert the reference into its page."""
    return markdown.replace(MARK, reference()) if page.file.src_uri == "cli.md" else markdown


def reference() -> str:
    """All commands in Markdown, one section each."""
    root: Any = typer.main.get_command(app)
    return "\n\n".join(_section(*found) for found in _commands("hdna", root, None))


def _commands(name: str, command: Any, parent: Any) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 - click's types
    """Full name, command and context of each command that is not a group."""
    context = command.context_class(command, parent=parent, info_name=name.split()[-1])
    if not hasattr(command, "commands"):
        yield name, command, context
        return
    for child_name, child in command.commands.items():
        yield from _commands(f"{name} {child_name}", child, context)


def _section(name: str, command: Any, context: Any) -> str:  # noqa: ANN401
    text, _, example = inspect.cleandoc(command.help).partition("\b\nExample:\n")
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    blocks = [f"## {name}", text.strip(), _code(usage), _table(command, context)]
    return "\n\n".join([*blocks, "For example:", _code(example)] if example else blocks)


def _code(text: str) -> str:
    return f"```text\n{textwrap.dedent(text).strip()}\n```"


def _table(command: Any, context: Any) -> str:  # noqa: ANN401
    """Arguments and options with their meanings, bounds and defaults."""
    rows = ["| Argument or option | Meaning |", "|---|---|"]
    for name, meaning in filter(None, (parameter.get_help_record(context) for parameter in command.params)):
        text = " ".join(meaning.split()).replace("|", r"\|")
        rows.append(f"| `{name}` | {text} |")
    return "\n".join(rows)
