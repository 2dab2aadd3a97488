"""The bytes of files that tests compare and damage."""

from pathlib import Path


def bytes_of(folder: Path) -> dict[str, bytes]:
    """The contents of every file below a folder, by its path relative to it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def flip_bit(path: Path, where: float = 0.5) -> None:
    """Flip one bit of a file; `where` is the place as a share of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 1
    path.write_bytes(data)
