"""Pieces of a Markdown page. All text is escaped here: names of assemblies and runs are whatever somebody typed."""

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~])")


def text(value: object) -> str:
    """On one line, and without meaning to Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], text_columns: int = 1) -> str:
    """A table with `text_columns` columns of text, then columns of numbers."""
    rule = ["---" if number < text_columns else "---:" for number in range(len(columns))]
    return "\n".join([_row(columns), _row(rule, escaped=False), *map(_row, rows)])


def facts(entries: Iterable[tuple[str, object]]) -> str:
    """A table of names and values."""
    return "\n".join(["| | |", "|---|---|", *map(_row, entries)])


def bullets(sentences: Iterable[str]) -> str:
    """A list; the sentences are markup already."""
    return "\n".join(f"* {sentence}" for sentence in sentences)


def code(source: str, language: str = "python") -> str:
    """A block of code."""
    return f"```{language}\n{source.strip()}\n```"


def _row(cells: Sequence[object], escaped: bool = True) -> str:
    return f"| {' | '.join(text(cell) if escaped else str(cell) for cell in cells)} |"
