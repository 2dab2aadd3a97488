"""Tables for a terminal."""

from collections.abc import Sequence

from hdna.errors import printable


def right_aligned(rows: Sequence[Sequence[str]], names: Sequence[str] = ()) -> str:
    """Columns two spaces apart, and behind them a name for each row, if there are any.

    Names may come from files: what a terminal would obey is escaped.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return (
        "\n".join(f"{line}  {printable(name)}" for line, name in zip(lines, names, strict=True))
        if names
        else "\n".join(lines)
    )
