"""A disk that forgets: what would be left of a folder if the power failed at any moment.

POSIX promises that a file's bytes survive once the file was synced, and a folder's names once the folder was. Between
these, anything may happen. Two extremes are built, and everything in between is made of their parts: a disk that has
kept nothing but what was synced, and one that has kept every name but no byte that was not.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Check = Callable[[Path], None]
"""Looks at a folder as a reader would after the machine has started again."""


class ForgetfulDisk:
    """Watches a folder: `survivor_states` are what a power failure would leave of it now."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._held: list[int] = []  # open, so that no inode number is given to another file

    def synced(self, descriptor: int) -> None:
        """Remember what a call of fsync has made durable."""
        self._held.append(os.dup(descriptor))
        status = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = {child.name: child.lstat().st_ino for child in path.iterdir()}
        else:
            self._bytes[status.st_ino] = path.read_bytes()

    def survivor(self, target: Path, every_name: bool) -> None:
        """Build in `target` what is left: only synced names, or with `every_name` all of them."""
        by_inode = {path.lstat().st_ino: path for path in [self._root, *self._root.rglob("*")]}
        self._build(self._root.stat().st_ino, target, by_inode, every_name)

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._held:
            os.close(descriptor)

    def _build(self, folder: int, target: Path, by_inode: dict[int, Path], every_name: bool) -> None:
        target.mkdir()
        if every_name:
            names = {path.name: path.lstat().st_ino for path in by_inode[folder].iterdir()}
        else:
            names = self._names.get(folder, {})
        for name, inode in names.items():
            if inode in self._bytes or (inode in by_inode and by_inode[inode].is_file()):
                (target / name).write_bytes(self._bytes.get(inode, b""))
            elif inode in by_inode or inode in self._names:
                self._build(inode, target / name, by_inode, every_name)


@contextmanager
def power_may_fail(root: Path, scratch: Path, check: Check) -> Iterator[list[int]]:
    """Within, `check` looks at what would be left of `root`, before and after every sync; yields their count."""
    disk, count, real = ForgetfulDisk(root), [0], os.fsync

    def look() -> None:
        for every_name in (False, True):
            count[0] += 1
            folder = scratch / f"{count[0]:05d}"
            disk.survivor(folder, every_name)
            check(folder)

    def fsync(descriptor: int) -> None:
        look()
        real(descriptor)
        disk.synced(descriptor)
        look()

    scratch.mkdir()
    for path in [root, *root.rglob("*")]:  # what was there before is safe
        disk.synced(os.open(path, os.O_RDONLY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield count
    look()
    disk.close()
