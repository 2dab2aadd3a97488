"""The processes of a run."""

from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """The processes below `pid` with their titles."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            title = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield child, title.strip()
            yield from descendants(child)
